# SPDX-License-Identifier: Apache-2.0
"""The HTTP server: OpenAI's and Ollama's endpoints on the engine, and a page to try a model on."""
