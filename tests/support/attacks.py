# SPDX-License-Identifier: Apache-2.0
"""Ways to make a server open a file or an address that it must not open, as parts of a message.

`{port}` is the port of a server on 127.0.0.1 that must not be asked, `{secret}` a picture, `{film}` a video and
`{allowed}` the folder from which files may be read. `public.test` is a host that may be asked.
"""

from __future__ import annotations

import base64
import struct
from pathlib import Path
from typing import Any

ADDRESSES = {
    # this machine and private networks, in all their forms
    "loopback": "http://127.0.0.1:{port}/secret",
    "loopback https": "https://127.0.0.1:{port}/secret",
    "loopback by name": "http://localhost:{port}/secret",
    "loopback by name in capitals": "HTTP://LOCALHOST:{port}/secret",
    "loopback by name with a dot": "http://localhost.:{port}/secret",
    "loopback of a domain": "http://a.localhost:{port}/secret",
    "another loopback": "http://127.255.255.254:{port}/secret",
    "short": "http://127.1:{port}/secret",
    "decimal": "http://2130706433:{port}/secret",
    "hexadecimal": "http://0x7f000001:{port}/secret",
    "hexadecimal parts": "http://0x7f.0x0.0x0.0x1:{port}/secret",
    "octal": "http://0177.0.0.1:{port}/secret",
    "octal whole": "http://017700000001:{port}/secret",
    "octal with zeros": "http://0000177.00000.0.01:{port}/secret",
    "zero": "http://0:{port}/secret",
    "any": "http://0.0.0.0:{port}/secret",
    "wide digits": "http://１２７.０.０.１:{port}/secret",
    "circled digits": "http://①②⑦.⓪.⓪.①:{port}/secret",
    "ideographic dots": "http://127。0。0。1:{port}/secret",
    "escaped": "http://%31%32%37.0.0.1:{port}/secret",
    "link local": "http://169.254.169.254/latest/meta-data/",
    "link local decimal": "http://2852039166/latest/meta-data/",
    "private 10": "http://10.0.0.1/",
    "private 172": "http://172.16.0.1/",
    "private 192": "http://192.168.1.1/",
    "shared": "http://100.64.0.1/",
    "multicast": "http://224.0.0.1/",
    "broadcast": "http://255.255.255.255/",
    "IPv6": "http://[::1]:{port}/secret",
    "IPv6 long": "http://[0:0:0:0:0:0:0:1]:{port}/secret",
    "IPv6 any": "http://[::]:{port}/secret",
    "IPv6 mapped": "http://[::ffff:127.0.0.1]:{port}/secret",
    "IPv6 mapped hexadecimal": "http://[::ffff:7f00:1]:{port}/secret",
    "IPv6 compatible": "http://[::127.0.0.1]:{port}/secret",
    "IPv6 NAT64": "http://[64:ff9b::7f00:1]:{port}/secret",
    "IPv6 6to4": "http://[2002:7f00:1::]:{port}/secret",
    "IPv6 Teredo": "http://[2001:0:7f00:1::]:{port}/secret",
    "IPv6 link local": "http://[fe80::1%25lo]:{port}/secret",
    "IPv6 local": "http://[fc00::1]:{port}/secret",
    "IPv6 site local": "http://[fec0::1]:{port}/secret",
    # names
    "name of a private address": "http://private.test:{port}/secret",
    "name of a public and a private address": "http://mixed.test:{port}/secret",
    "name that changes": "http://rebind.test/again",
    # redirects of a host that may be asked
    "redirect": "http://public.test/to?http://127.0.0.1:{port}/secret",
    "redirect to a name": "http://public.test/to?http://localhost:{port}/secret",
    "redirect to IPv6": "http://public.test/to?http://[::1]:{port}/secret",
    "redirect to a file": "http://public.test/to?file://{secret}",
    "redirect to data": "http://public.test/to?data:image/png;base64,iVBORw0KGgo=",
    "redirect without scheme": "http://public.test/to?//127.0.0.1:{port}/secret",
    "redirect twice": "http://public.test/to?http://public.test/to?http://127.0.0.1:{port}/secret",
    "redirect for ever": "http://public.test/around",
    # places in an address that are read differently
    "user": "http://public.test@127.0.0.1:{port}/secret",
    "user and password": "http://public.test:80@127.0.0.1:{port}/secret",
    "user of the other host": "http://127.0.0.1:{port}@public.test/",
    "backslash": "http://127.0.0.1:{port}\\@public.test/",
    "fragment": "http://127.0.0.1:{port}#@public.test/",
    "question": "http://127.0.0.1:{port}?@public.test/",
    "line break in the host": "http://127.0.0.1\r\n:{port}/secret",
    "tab in the scheme": "ht\ttp://127.0.0.1:{port}/secret",
    "blank before": " http://127.0.0.1:{port}/secret",
    "one slash": "http:/127.0.0.1:{port}/secret",
    "no slash": "http:127.0.0.1:{port}/secret",
    "three slashes": "http:///127.0.0.1:{port}/secret",
    "no host": "http://:{port}/secret",
    "zero byte": "http://127.0.0.1:{port}\0.public.test/secret",
    # other schemes
    "ftp": "ftp://127.0.0.1:{port}/secret",
    "gopher": "gopher://127.0.0.1:{port}/_GET%20/secret",
    "dict": "dict://127.0.0.1:{port}/secret",
    "rtsp": "rtsp://127.0.0.1:{port}/secret",
    "rtmp": "rtmp://127.0.0.1:{port}/secret",
    "tcp": "tcp://127.0.0.1:{port}",
    "unix": "unix:/var/run/docker.sock",
    "hls": "hls+http://127.0.0.1:{port}/secret",
    "concat": "concat:{film}|{film}",
    "subfile": "subfile,,start,0,end,0,,:{film}",
    "crypto": "crypto:{film}",
    "async": "async:{film}",
    "cache": "cache:http://127.0.0.1:{port}/secret",
    "pipe": "pipe:0",
    "fd": "fd:0",
    "lavfi": "lavfi:testsrc",
    # files
    "path": "{secret}",
    "path of a video": "{film}",
    "file": "file://{secret}",
    "file in capitals": "FILE://{secret}",
    "file of this host": "file://localhost{secret}",
    "file without slashes": "file:{secret}",
    "file escaped": "file://%2f{secret}",
    "dots": "{allowed}/../secret.png",
    "dots escaped": "file://{allowed}/%2e%2e/secret.png",
    "dots escaped twice": "file://{allowed}/%252e%252e/secret.png",
    "dots behind a link": "{allowed}/sub/../../secret.png",
    "link": "{allowed}/link.png",
    "link of a folder": "{allowed}/folder/secret.png",
    "folder whose name begins alike": "{allowed}-too/secret.png",
    "folder": "{allowed}",
    "zero byte in a path": "{secret}\0{allowed}/good.png",
    "pattern": "{allowed}/../%03d.png",
    "environment": "/proc/self/environ",
    "root of the process": "/proc/self/root{secret}",
    "folder of the process": "/proc/self/cwd/secret.png",
    "descriptor": "/proc/self/fd/0",
    "standard input": "/dev/stdin",
    "device": "/dev/zero",
    "UNC": "\\\\127.0.0.1\\share\\a.png",
    "UNC with slashes": "//127.0.0.1/share/a.png",
    "UNC of a file address": "file:////127.0.0.1/share/a.png",
    "drive": "C:\\Windows\\win.ini",
    "home": "~/secret.png",
    "data in data": "data:text/plain,data:image/png;base64,iVBORw0KGgo=",
    "address in data": "data:text/uri-list,http://127.0.0.1:{port}/secret",
    "file in data": "data:text/plain,file://{secret}",
}
"""Addresses of a picture, a video or a document."""

PLAYLISTS = {
    "m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile://{film}\n#EXT-X-ENDLIST\n",
    "m3u8 of an address": "#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1:{port}/secret\n#EXT-X-ENDLIST\n",
    "m3u8 of concat": "#EXTM3U\n#EXTINF:10,\nconcat:http://127.0.0.1:{port}/|file://{film}\n",
    "m3u8 with a key": '#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="file://{secret}"\n#EXTINF:1,\na.ts\n',
    "ffconcat": "ffconcat version 1.0\nfile '{film}'\n",
    "ffconcat with options": "ffconcat version 1.0\nfile 'subfile,,start,0,end,0,,:{film}'\n",
    "DASH": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period><AdaptationSet>'
    '<Representation id="1"><BaseURL>http://127.0.0.1:{port}/secret</BaseURL></Representation>'
    "</AdaptationSet></Period></MPD>",
    "SDP": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=a\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {port} RTP/AVP 96\n",
    "ASX": '<asx version="3.0"><entry><ref href="http://127.0.0.1:{port}/secret"/></entry></asx>',
    "RAM": "rtsp://127.0.0.1:{port}/secret\n",
    "SVG of a file": '<svg xmlns="http://www.w3.org/2000/svg"><image href="file://{secret}"/></svg>',
    "SVG of an address": '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
    '<image xlink:href="http://127.0.0.1:{port}/secret"/></svg>',
    "SVG with an entity": '<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY a SYSTEM "file://{secret}">]>'
    '<svg xmlns="http://www.w3.org/2000/svg"><text>&a;</text></svg>',
    "HTML": '<html><img src="http://127.0.0.1:{port}/secret"></html>',
    "PostScript": "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n({secret}) (r) file pop\nshowpage\n",
    "MVG": "push graphic-context\nimage over 0,0 0,0 'http://127.0.0.1:{port}/secret'\n",
    "link of Windows": "[InternetShortcut]\nURL=file://{secret}\n",
}
"""Texts that name other files, given as the file of a picture or video."""


def film_that_points_to(film: Path) -> bytes:
    """A QuickTime file without frames of its own, whose track refers to those of another file (`alis`)."""
    data = bytearray(film.read_bytes())
    path = str(film).encode() + b"\0" * (len(str(film)) % 2)
    record = (
        b"\0" * 10 + b"\0" * 28 + b"\0" * 12 + b"\0" * 64 + b"\0" * 16 + struct.pack(">hh", -1, -1)
    )
    record += b"\0" * 16 + struct.pack(">HH", 2, len(path)) + path + struct.pack(">HH", 0xFFFF, 0)
    alias = struct.pack(">I", 12 + len(record)) + b"alis\0\0\0\0" + record
    place = data.index(b"url \0\0\0\x01") - 4
    for name in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
        start = data.index(name) - 4
        (size,) = struct.unpack_from(">I", data, start)
        struct.pack_into(">I", data, start, size + len(alias) - 12)
    data[place : place + 12] = alias
    frames = data.index(b"mdat")
    (size,) = struct.unpack_from(">I", data, frames - 4)
    data[frames + 4 : frames - 4 + size] = b"\0" * (size - 8)
    return bytes(data)


def parts_of(address: str) -> list[dict[str, Any]]:
    """Parts of a message in which an address may be given; a document may be a text, which is shown as it is."""
    documents = [
        {"type": "file", "file": {"file_data": address}},
        {"type": "input_file", "file_url": address},
    ]
    return [
        {"type": "image_url", "image_url": {"url": address}},
        {"type": "image_url", "image_url": address},
        {"type": "image", "image": address},
        {"type": "video_url", "video_url": {"url": address}},
        {"type": "video", "video": [address, address]},
        *(documents if not address.startswith("data:text") else ()),
    ]


def data_of(text: str) -> str:
    """A text as a `data:` address."""
    return f"data:application/octet-stream;base64,{base64.b64encode(text.encode()).decode()}"
