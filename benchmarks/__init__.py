# SPDX-License-Identifier: Apache-2.0
"""Speed and memory against stated bars, measured in turns with what they are compared to: `python -m benchmarks`."""
