# SPDX-License-Identifier: Apache-2.0
"""A page reaches its own origin and no other one, whatever it tries."""

from __future__ import annotations

import pytest

from finesight.browser.browser import Browser
from finesight.browser.reach import Reach, origin_of
from finesight.errors import ConfigError, ScreenUnavailable
from finesight.geometry import Size
from tests.support.agent_sites import site
from tests.support.pages import needs_browser


def test_origins_have_scheme_host_and_port():
    assert origin_of("https://shop.example/a?b") == "https://shop.example:443"
    assert origin_of("ws://127.0.0.1:80/x") == "http://127.0.0.1:80"
    assert origin_of("http://[::1]:8000/") == "http://[::1]:8000"
    assert origin_of("http://shop:99999999/") == origin_of("http://[shop/") == ""
    assert not Reach(("http://shop",)).allows("http://[shop/")
    assert origin_of("file:///etc/passwd") == origin_of("about:blank") == origin_of("shop") == ""
    for wrong in ("shop.example", "ftp://a", "http://a:port"):
        with pytest.raises(ConfigError, match="is not an origin"):
            Reach((wrong,))


def test_what_is_allowed(tmp_path):
    reach = Reach(("https://shop.example",), tmp_path)
    assert reach.allows("https://shop.example/a")
    assert reach.allows("wss://shop.example/a")
    assert reach.allows("data:text/html,x")
    assert reach.allows((tmp_path / "a.html").as_uri())
    for address in (
        "http://shop.example/",
        "https://shop.example:444/",
        "https://shop.example.evil.example/",
        "https://shop.example@evil.example/",
        "https://a.shop.example/",
        "file:///etc/passwd",
        f"{tmp_path.as_uri()}/../b.html",
    ):
        assert not reach.allows(address), address
    assert reach.allows_host("shop.example:443")
    assert not reach.allows_host("evil.example:443")


@needs_browser
def test_redirects_pictures_sockets_and_forms_do_not_leave(tmp_path):
    with site() as own, site() as evil:
        own.pages[
            "/page"
        ] = f"""<img src="{evil.url}/picture"><img src="/out?{evil.url}/redirected">
<link rel="stylesheet" href="/out?{evil.url}/style"><iframe src="/out?{evil.url}/frame"></iframe>
<iframe name="inner"></iframe><form id="f" action="{evil.url}/form" target="inner"></form>
<script>new WebSocket("{evil.url.replace("http", "ws")}/socket"); f.submit();
fetch("/out?{evil.url}/fetched").catch(() => 0); navigator.sendBeacon("{evil.url}/beacon", "x");</script>"""
        with Browser(Size(300, 200), reach=Reach((own.url,), tmp_path)) as browser:
            browser.open(f"{own.url}/page")
            browser.wait(0.5)
            assert any(each.startswith("/out") for each in own.requests)
            assert evil.requests == []
            names = {each.rpartition("/")[2] for each in browser.blocked}
            assert names >= {"picture", "redirected", "style", "frame", "fetched"}
            with pytest.raises(ScreenUnavailable, match="is not in what this browser may load"):
                browser.open(f"{evil.url}/x")
            browser.open(f"{own.url}/out?{evil.url}/y")
            assert "this origin is not allowed" in browser.evaluate("document.body.innerText")
            assert evil.requests == []


@needs_browser
def test_a_control_is_described_with_its_form(tmp_path):
    with site() as own, Browser(Size(700, 420), scale=2, reach=Reach((own.url,))) as browser:
        browser.open(f"{own.url}/checkout")
        button = next(each for each in browser.elements() if each.role == "button")
        found = browser.control_at(button.box.center)
        assert (found.role, found.name, found.box) == ("button", "Place order", button.box)
        assert found.traits["type"] == "submit"
        assert found.traits["method"] == "post"
        assert found.traits["target"] == f"{own.url}/order"
        assert found.traits["holds"] == "cc-number"
        field = next(each for each in browser.elements() if each.role == "textbox")
        browser.click(field.box.center)
        assert browser.focused().name == "Street"
        assert browser.focused().traits["submit"] == "Place order"
        # a page cannot change what is seen: the description runs in a world of its own
        browser.evaluate(
            "() => { document.elementFromPoint = () => null; Element.prototype.matches = () => false }"
        )
        assert browser.control_at(button.box.center) == found
