# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of other formats: GGUF text decoders, LoRA adapters, and the embedded model `small`."""
