# SPDX-License-Identifier: Apache-2.0
"""Fixed sets of benchmarks: the report card, stored outputs with published scores, packaged data."""
