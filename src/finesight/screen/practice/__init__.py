# SPDX-License-Identifier: Apache-2.0
"""A practice phone: apps of a web page behind the protocol of a phone, so that agents can be tried without Android."""
