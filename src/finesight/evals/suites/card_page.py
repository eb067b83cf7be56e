# SPDX-License-Identifier: Apache-2.0
"""The page of a report card, filled by `card`; everything of a model or a data set is escaped by Jinja."""

from finesight.present.report_page import PAGE_HEAD

CARD_STYLE = """
.examples { display: flex; flex-wrap: wrap; gap: 1rem; }
.examples figure { flex: 0 1 16rem; margin: 0; }
.examples pre { max-height: 12rem; overflow: auto; }
.mark { color: var(--warn); }
.drawing { overflow-x: auto; }
"""

CARD_PAGE = (
    PAGE_HEAD
    + """<article>
<div class="drawing">{{ drawing }}</div>
<div class="scroll"><table>
<thead><tr><th>row</th><th>measure</th><th>score</th><th>blank</th><th>times blank</th><th>n</th>
<th>failed</th><th>training</th></tr></thead>
<tbody>{% for row in rows %}
<tr><td>{{ row.score.row }}</td><td>{{ row.score.measure }}</td>
<td class="n">{{ "%.3f" | format(row.score.score) }}</td>
<td class="n">{{ "%.3f" | format(row.score.blank) }}</td>
<td class="n">{{ "%.1f" | format(row.score.beats_blank) }}</td>
<td class="n">{{ row.score.num_items }}</td>
<td class="n">{{ row.score.num_failed }}</td>
<td{% if row.state == "not trained" %} class="mark"{% endif %}>{{ row.state }}</td></tr>
{% endfor %}
{% for row in no_data %}
<tr><td>{{ row.row }}</td><td colspan="6">no data: {{ row.needs }} is not there</td>
<td>{{ row.how }}</td></tr>
{% endfor %}</tbody></table></div>
</article>
{% for row in rows %}
<article>
<h2>{{ row.score.row }}{% if row.state == "not trained" %}
 <span class="mark">the model was never trained for this</span>{% endif %}</h2>
{% for title, examples in row.groups %}
<h3>{{ title }}</h3>
{% if not examples %}<p class="source">none</p>{% endif %}
<div class="examples">{% for each in examples %}
<figure><img alt="{{ each.id }}" src="{{ each.picture }}">
<figcaption class="source" dir="auto">{{ each.question }}</figcaption>
{% if each.wanted %}<pre dir="auto">wanted: {{ each.wanted }}</pre>{% endif %}
<pre dir="auto">said: {{ each.said }}</pre>
<pre dir="auto">blind: {{ each.blind }}</pre></figure>
{% endfor %}</div>
{% endfor %}
</article>
{% endfor %}
<footer>cer: character errors over characters, lower is better; all others: higher is better. Beside each score stands
the same model on blank pictures. Examples are the first of their row, not chosen.</footer>
</body>
</html>
"""
)
