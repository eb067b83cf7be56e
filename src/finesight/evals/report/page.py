# SPDX-License-Identifier: Apache-2.0
"""The page that a report of runs is, filled by `report`; everything of a model or a data set is escaped by Jinja."""

from finesight.present.report_page import PAGE_HEAD

STYLE_MORE = """
table.numbers td + td, table.numbers th + th { text-align: right; }
tr.ours td { font-weight: 600; }
summary { cursor: pointer; color: var(--soft); margin: 1rem 0 .4rem; }
"""

PAGE = (
    PAGE_HEAD
    + """{% macro numbers(table) %}
<div class="scroll"><table class="numbers">
<thead><tr>{% for name in table.header %}<th scope="col">{{ name }}</th>{% endfor %}</tr></thead>
<tbody>{% for row in table.rows %}
<tr{% if row.is_ours %} class="ours"{% endif %}>{% for cell in row.cells %}<td dir="auto">{{ cell }}</td>
{% endfor %}</tr>{% endfor %}
</tbody></table></div>
{% endmacro %}
{% if overview.rows | length > 1 %}<article>{{ numbers(overview) }}</article>{% endif %}
{% for table in more %}<article><h2>{{ table.title }}</h2>{{ numbers(table) }}</article>{% endfor %}
{% for run in runs %}
<article>
<h2 dir="auto">{{ run.title }}</h2>
<ul class="facts">{% for fact in run.facts %}<li>{{ fact }}</li>{% endfor %}
{% for fact in run.warnings %}<li class="warn">{{ fact }}</li>{% endfor %}</ul>
{% if run.notes %}<ul class="notes">{% for note in run.notes %}<li>{{ note }}</li>{% endfor %}</ul>
{% endif %}
{% for table in run.tables %}<h3>{{ table.title }}</h3>
{{ numbers(table) }}{% endfor %}
<details><summary>Settings</summary><pre>{{ run.settings }}</pre></details>
</article>
{% for failure in run.failures %}
<article>
<h2 dir="auto">{{ failure.question }}</h2>
<p class="source">{{ failure.id }}</p>
{% for picture in failure.pictures %}<figure>
{% if picture.address %}<img alt="{{ picture.alt }}" src="{{ picture.address }}">{% endif %}
<figcaption class="source">{{ picture.alt }}</figcaption></figure>
{% endfor %}
<h3>Answer</h3><pre dir="auto">{{ failure.text }}</pre>
<h3>Read as</h3><pre dir="auto">{{ failure.parsed }}</pre>
<h3>Truth</h3><pre dir="auto">{{ failure.truth }}</pre>
<ul class="facts">{% for fact in failure.facts %}<li>{{ fact }}</li>{% endfor %}
{% if failure.error %}<li class="warn">{{ failure.error }}</li>{% endif %}</ul>
</article>
{% endfor %}
{% endfor %}
<footer>Intervals are 95 % bootstrap intervals over pictures. Published numbers are quoted from their sources; their
prompts, pixels and rules of reading may differ. Boxes are drawn in pixels of the original pictures.</footer>
</body>
</html>
"""
)
