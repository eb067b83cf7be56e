# SPDX-License-Identifier: Apache-2.0
"""The page that a report is: markup and style, filled by `report`.

Everything that comes from a model or a user goes through Jinja's escaping; the content policy of
the page forbids scripts and every outside address, so a report can be opened and passed on without
care.
"""

STYLE = """
:root { color-scheme: light dark; --ink: #1c1d20; --soft: #5c6068; --ground: #fafaf8;
  --card: #ffffff; --line: #d9dade; --warn: #9a4b00; --warn-ground: #fff3e2; --mono: ui-monospace,
  SFMono-Regular, Menlo, Consolas, monospace; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e9e9ec; --soft: #a3a7b0; --ground: #131417; --card: #1c1d21; --line: #35373d;
    --warn: #ffc078; --warn-ground: #3a2a14; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 72rem; background: var(--ground);
  color: var(--ink); font: 16px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 1rem; }
h2 { font-size: 1.15rem; margin: 0 0 .75rem; overflow-wrap: anywhere; white-space: pre-wrap; }
h3 { font-size: .8rem; letter-spacing: .06em; text-transform: uppercase; color: var(--soft);
  margin: 1.5rem 0 .4rem; }
article { background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 1.25rem; margin: 0 0 1.5rem; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font: .9rem/1.5 var(--mono); margin: 0;
  padding: .75rem; border: 1px solid var(--line); border-radius: 6px; max-height: 28rem;
  overflow: auto; }
figure { margin: 1rem 0 0; }
figure img { display: block; max-width: 100%; height: auto; border: 1px solid var(--line);
  border-radius: 6px; background: #888; }
.source { color: var(--soft); font-size: .85rem; overflow-wrap: anywhere; margin: .3rem 0 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .88rem; }
th, td { text-align: left; padding: .3rem 1rem .3rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; overflow-wrap: anywhere; }
th { color: var(--soft); font-weight: 500; white-space: nowrap; }
td.t { min-width: 7rem; }
td.n { font-family: var(--mono); white-space: nowrap; font-variant-numeric: tabular-nums; }
.swatch { display: inline-block; min-width: 1.6em; padding: 0 .3em; border-radius: 3px;
  text-align: center; font: .8rem/1.5 var(--mono); -webkit-print-color-adjust: exact;
  print-color-adjust: exact; }
.facts { display: flex; flex-wrap: wrap; gap: .35rem; margin: .6rem 0 0; padding: 0;
  list-style: none; font-size: .85rem; }
.facts li { border: 1px solid var(--line); border-radius: 99px; padding: .05rem .65rem; }
.warn { color: var(--warn); background: var(--warn-ground); }
ul.notes { margin: .3rem 0 0; padding-left: 1.1rem; font-size: .9rem; overflow-wrap: anywhere; }
svg.timeline { width: 100%; height: auto; display: block; }
footer { color: var(--soft); font-size: .85rem; }
@media print { body { max-width: none; padding: 0; background: #fff; font-size: 11pt; }
  article { border: 0; padding: 0; } article + article { break-before: page; }
  pre { max-height: none; overflow: visible; } figure, tr, svg { break-inside: avoid; }
  figure img { max-height: 22cm; width: auto; } h3 { break-after: avoid; } }
"""

PAGE_HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="referrer" content="no-referrer">
<title>{{ title }}</title>
<style>{{ style }}</style>
</head>
<body>
<h1>{{ title }}</h1>
"""
"""Opening of every page: nothing is loaded from elsewhere and no script runs, whatever an answer says."""

PAGE = (
    PAGE_HEAD
    + """{% for entry in entries %}
<article>
<h2 dir="auto">{{ entry.question }}</h2>
<pre dir="auto">{{ entry.text or "(the answer is empty)" }}</pre>
<ul class="facts">
<li{% if entry.is_warning %} class="warn"{% endif %}>finish: {{ entry.finish_reason }}</li>
{% if entry.truncated %}<li class="warn">truncated</li>{% endif %}
{% for fact in entry.facts %}<li>{{ fact }}</li>{% endfor %}
</ul>
{% for item in entry.media %}
<h3>{{ item.title }}</h3>
{% if item.picture %}<figure>
<img alt="{{ item.alt }}" src="{{ item.picture }}">
</figure>{% endif %}
<p class="source">{{ item.source }}</p>
{% if item.timeline %}{{ item.timeline }}{% endif %}
<ul class="facts">{% for fact in item.facts %}<li>{{ fact }}</li>{% endfor %}</ul>
{% if item.notes %}<ul class="notes">{% for note in item.notes %}<li>{{ note }}</li>{% endfor %}
</ul>{% endif %}
{% endfor %}
{% for table in entry.tables %}
<h3>{{ table.title }}</h3>
<div class="scroll"><table>
<thead><tr>{% for name in table.header %}<th scope="col">{{ name }}</th>{% endfor %}</tr></thead>
<tbody>{% for row in table.rows %}
<tr>{% if table.has_numbers %}<td>{% if row.colour %}<span class="swatch"
 style="background:{{ row.colour }};color:{{ row.ink }}">{{ row.number }}</span>{% else %}–
{% endif %}</td>{% endif %}{% for cell in row.cells %}<td{% if cell.is_number %} class="n"
{% elif cell.text %} class="t" dir="auto"{% endif %}>{{ cell.text }}</td>{% endfor %}</tr>{% endfor %}
</tbody></table></div>
{% endfor %}
{% if entry.problems %}<h3>Not read</h3>
<ul class="notes warn">{% for problem in entry.problems %}<li>{{ problem }}</li>{% endfor %}</ul>
{% endif %}
</article>
{% endfor %}
<footer>Coordinates are pixels of the original pictures; times are seconds of the source.</footer>
</body>
</html>
"""
)
