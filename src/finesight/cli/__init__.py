# SPDX-License-Identifier: Apache-2.0
"""The commands: thin handlers that read options, call the layers below and print."""
