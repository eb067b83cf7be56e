# SPDX-License-Identifier: Apache-2.0
"""One file per benchmark, each with its `TASKS`; files that begin with an underscore are shared by several."""
