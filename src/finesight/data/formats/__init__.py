# SPDX-License-Identifier: Apache-2.0
"""Reads the data formats of other trainers into records.

A container (`finesight.data.formats.containers`: JSON, JSONL, CSV, parquet, webdataset) yields rows. A row format (one
file each) turns a row into a draft: turns whose pieces are text, media and places. `finesight.data.formats.draft` loads
the media, converts the coordinates, checks everything and makes the record. COCO, YOLO and folders with captions are
read as a whole.
"""
