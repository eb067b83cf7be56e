# SPDX-License-Identifier: Apache-2.0
"""`finesight bench`: speed and memory against stated bars, measured in turns with what they are compared to."""
