# SPDX-License-Identifier: Apache-2.0
"""Records of documents, receipts, invoices, forms and tables drawn from HTML templates."""
