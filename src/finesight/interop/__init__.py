# SPDX-License-Identifier: Apache-2.0
"""finesight as a model of other programs.

A door like the command line, one module per program. None of these programs is needed, or imported, unless its own
module is asked for its class: see decision 0014.
"""
