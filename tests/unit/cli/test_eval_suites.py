# SPDX-License-Identifier: Apache-2.0
from finesight.cli.eval_suites import with_scans


def test_scans_are_looked_for_in_every_folder(tmp_path):
    (tmp_path / "b" / "ocr_scans").mkdir(parents=True)
    roots = [tmp_path / "a", tmp_path / "b"]
    assert with_scans(roots) == tmp_path / "b"
    assert with_scans(roots[:1]) == tmp_path / "a"
    assert with_scans([]) is None
