# SPDX-License-Identifier: Apache-2.0
"""Applications: prompts, schemas and post-processing over a `Responder`. They load no torch.

Every value that an application returns says where it was read (`finesight.apps.evidence`) and has a computed score, or
none. What was looked at and what was not is part of the result.
"""
