# SPDX-License-Identifier: Apache-2.0
"""Writes checkpoints in the formats of other programs: Hugging Face, GGUF, Ollama, peft, AWQ and ONNX."""
