#!/usr/bin/env python3
"""Draws what the panels of the dashboards show, where there is no Grafana: a page of SVG for each, from a Prometheus.

    tests/monitoring/render.py http://127.0.0.1:9091 FOLDER [MINUTES]

and then, for a picture: chromium --headless --screenshot=users.png --window-size=1500,3000 FOLDER/chat-users.html
"""

import html
import json
import math
import pathlib
import sys
import time
import urllib.parse
import urllib.request

DASHBOARDS = pathlib.Path(__file__).parents[2] / "charts/chat-operator/monitoring/dashboards"
# Those of Okabe and Ito, which people who see few colours tell apart.
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999"]
WIDTH, HEIGHT, LEFT, BOTTOM = 440, 150, 56, 18


def ask(server, what, **form):
    url = f"{server}/api/v1/{what}?{urllib.parse.urlencode(form)}"
    with urllib.request.urlopen(url, timeout=20) as answer:
        return json.load(answer)["data"]["result"]


def filled_in(expression, minutes):
    for name, value in [("$__rate_interval", "30s"), ("$namespace", ".+"), ("$cluster", ".+"), ("$pod", ".+")]:
        expression = expression.replace(name, value)
    return expression


def legend(form, labels):
    for name, value in labels.items():
        form = form.replace("{{" + name + "}}", value)
    return form


def said(value, unit):
    if math.isnan(value):
        return "no value"
    if unit == "s":
        return f"{value:.3g} s" if value >= 1 else f"{value * 1000:.3g} ms"
    if unit == "bytes":
        for name in ["B", "KiB", "MiB", "GiB"]:
            if value < 1024 or name == "GiB":
                return f"{value:.3g} {name}"
            value /= 1024
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def lines(panel, server, begin, end, minutes):
    series = []
    for target in panel["targets"]:
        step = max((end - begin) / 120, 1)
        for found in ask(server, "query_range", query=filled_in(target["expr"], minutes), start=begin, end=end, step=step):
            points = [(at, float(value)) for at, value in found["values"]]
            series.append((legend(target["legendFormat"], found["metric"]), [p for p in points if math.isfinite(p[1])]))
    unit = panel["fieldConfig"]["defaults"]["unit"]
    values = [value for _, points in series for _, value in points]
    top, low = max(values, default=1) or 1, min(min(values, default=0), 0)
    x = lambda at: LEFT + (at - begin) / (end - begin) * (WIDTH - LEFT)
    y = lambda value: HEIGHT - BOTTOM - (value - low) / ((top - low) or 1) * (HEIGHT - BOTTOM - 8)
    out = [f'<svg width="{WIDTH}" height="{HEIGHT}">']
    for value in [low, (top + low) / 2, top]:
        out.append(f'<line x1="{LEFT}" x2="{WIDTH}" y1="{y(value)}" y2="{y(value)}" stroke="#ddd"/>')
        out.append(f'<text x="{LEFT - 4}" y="{y(value) + 4}" text-anchor="end">{said(value, unit)}</text>')
    for number, (_, points) in enumerate(series):
        path = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in points)
        out.append(f'<polyline points="{path}" fill="none" stroke="{COLOURS[number % len(COLOURS)]}" stroke-width="1.5"/>')
    out.append("</svg><p class=legend>")
    for number, (name, points) in enumerate(series):
        last = said(points[-1][1], unit) if points else "no value"
        out.append(f'<span style="color:{COLOURS[number % len(COLOURS)]}">&#9632;</span> {html.escape(name)} {last} ')
    return "".join(out) + "</p>", len(series)


def number(panel, server, minutes):
    found = ask(server, "query", query=filled_in(panel["targets"][0]["expr"], minutes))
    unit = panel["fieldConfig"]["defaults"]["unit"]
    name = panel["targets"][0]["legendFormat"]
    texts = [f"{legend(name, one['metric'])} {said(float(one['value'][1]), unit)}" for one in found]
    return f'<p class=number>{html.escape(", ".join(texts)) or "nothing"}</p>', len(found)


def main():
    server, folder = sys.argv[1].rstrip("/"), pathlib.Path(sys.argv[2])
    minutes = float(sys.argv[3]) if len(sys.argv) > 3 else 5
    end = time.time()
    begin = end - minutes * 60
    folder.mkdir(parents=True, exist_ok=True)
    for file in sorted(DASHBOARDS.glob("*.json")):
        dashboard = json.loads(file.read_text())
        page = [
            "<!doctype html><meta charset=utf-8><style>body{font:12px sans-serif;width:1440px;margin:12px}",
            "section{display:inline-block;vertical-align:top;border:1px solid #ccc;border-radius:6px;padding:8px;margin:4px;width:450px}",
            "section.stat{width:212px}h1{font-size:18px}h2{font-size:15px;clear:both}h3{margin:0 0 4px;font-size:13px}",
            "p{margin:2px 0;color:#555}.number{font-size:20px;color:#000}.legend{color:#000}text{font-size:10px}</style>",
            f"<h1>{html.escape(dashboard['title'])}</h1>",
        ]
        empty = []
        for panel in dashboard["panels"]:
            title = html.escape(panel["title"])
            if panel["type"] == "row":
                page.append(f"<h2>{title}</h2>")
                continue
            stat = panel["type"] == "stat"
            drawn, count = number(panel, server, minutes) if stat else lines(panel, server, begin, end, minutes)
            if count == 0:
                empty.append(panel["title"])
            kind = " class=stat" if stat else ""
            page.append(f"<section{kind}><h3>{title}</h3>{drawn}<p>{html.escape(panel['description'])}</p></section>")
        (folder / f"{file.stem}.html").write_text("\n".join(page))
        print(f"{file.stem}: {len(empty)} panels without data {empty or ''}")


main()
