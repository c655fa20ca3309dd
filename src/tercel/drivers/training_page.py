"""The frame and the style of the training report's page: calm, light or dark as the reader's system is."""

from __future__ import annotations

from typing import Final

# Cyan for gains and orange for losses stay apart for colour-blind eyes; a sign or a word says the same everywhere.
STYLE: Final = """
:root {
  --ground: #f5f6f8; --panel: #ffffff; --line: #e3e7ec; --text: #18212c; --soft: #566477; --faint: #7b8899;
  --up: #0f7f96; --down: #b95a12; --model: #4a6fb5; --grid: #e9ecf0; --axis: #98a4b3; --band: #f3f6f9; --band2: #eaeff4;
  --train: #a9b6c6; --calibrate: #e0b04a; --test: #2c93ab;
  --yes: #e6f4f0; --yes-line: #4fa58a; --yes-text: #14604a; --no: #f1f3f6; --no-line: #9aa7b6; --no-text: #26323f;
}
@media (prefers-color-scheme: dark) { :root {
  --ground: #0c1016; --panel: #131922; --line: #232d3a; --text: #dbe3ec; --soft: #93a1b3; --faint: #7d8b9d;
  --up: #46b8d0; --down: #f0954f; --model: #86a8ea; --grid: #1e2733; --axis: #5b6a7d; --band: #161d27; --band2: #1b2430;
  --train: #4d5c6f; --calibrate: #c99a3a; --test: #3fa6be;
  --yes: #12261f; --yes-line: #3d8f76; --yes-text: #8ed9bf; --no: #171e28; --no-line: #5b6a7d; --no-text: #dbe3ec;
} }
* { box-sizing: border-box; }
html { background: var(--ground); color: var(--text); -webkit-text-size-adjust: 100%;
  font: 14px/1.5 "Inter", "Segoe UI", system-ui, -apple-system, "Helvetica Neue", "DejaVu Sans", sans-serif;
  font-variant-numeric: tabular-nums; }
body { margin: 0; }
main { max-width: 1120px; margin: 0 auto; padding: 36px 20px 64px; display: grid; gap: 16px; }
header { padding: 0 4px 6px; }
.over { margin: 0; font-size: 12px; letter-spacing: .06em; color: var(--faint); }
h1 { margin: 2px 0 4px; font-size: 28px; font-weight: 650; letter-spacing: -.02em; line-height: 1.2; }
.sub { margin: 0; color: var(--soft); }
section { background: var(--panel); border: 1px solid var(--line); border-radius: 12px; padding: 20px 22px; min-width: 0; }
h2 { margin: 0; font-size: 16px; font-weight: 650; letter-spacing: -.01em; }
h3 { margin: 14px 0 2px; font-size: 12px; font-weight: 600; color: var(--soft); }
.about { margin: 3px 0 10px; color: var(--soft); max-width: 110ch; font-size: 13px; }
.note { margin: 8px 0 0; color: var(--faint); font-size: 12.5px; }
.verdict { border-left: 5px solid var(--no-line); background: var(--no); color: var(--no-text); }
.verdict.yes { border-left-color: var(--yes-line); background: var(--yes); color: var(--yes-text); }
.verdict h2 { font-size: 24px; letter-spacing: -.02em; }
.verdict ul { margin: 8px 0 0; padding-left: 18px; color: var(--text); }
.verdict li { margin: 3px 0; }
.tiles { margin: 0; display: grid; grid-template-columns: repeat(auto-fit, minmax(152px, 1fr)); gap: 14px 16px; }
.tiles dt { font-size: 12px; color: var(--soft); }
.tiles dd { margin: 0; font-size: 19px; font-weight: 600; letter-spacing: -.03em; white-space: nowrap; line-height: 1.35; }
.tiles dd.small { font-size: 12px; font-weight: 400; color: var(--faint); letter-spacing: 0; }
details { margin-top: 14px; }
summary { cursor: pointer; color: var(--soft); font-size: 13px; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 16px; }
@media (max-width: 820px) { .pair { grid-template-columns: 1fr; } }
.scroll { overflow-x: auto; margin-top: 10px; }
table { border-collapse: collapse; width: 100%; font-size: 13px; }
th { font-weight: 500; color: var(--faint); font-size: 12px; border-bottom: 1px solid var(--line); vertical-align: bottom; }
th, td { padding: 5px 10px; text-align: right; white-space: nowrap; }
td.left, th.left { text-align: left; }
tr > :first-child { padding-left: 0; } tr > :last-child { padding-right: 0; }
tbody tr + tr td { border-top: 1px solid var(--grid); }
.legend { margin: 4px 0 0; display: flex; gap: 18px; font-size: 12.5px; color: var(--soft); }
.legend i { display: inline-block; width: 14px; height: 10px; border-radius: 3px; margin-right: 6px; }
i.train { background: var(--train); } i.calibrate { background: var(--calibrate); } i.test { background: var(--test); }
.facts { margin: 12px 0 0; display: grid; grid-template-columns: minmax(150px, max-content) 1fr; gap: 4px 22px; font-size: 12.5px; }
.facts dt { color: var(--faint); } .facts dd { margin: 0; overflow-wrap: anywhere; }
svg { display: block; width: 100%; height: auto; overflow: visible; }
@media (max-width: 820px) { section { overflow-x: auto; } svg.wide { min-width: 700px; } .facts { grid-template-columns: 1fr; } }
svg text { font-size: 11.5px; fill: var(--soft); }
svg .tick { fill: var(--faint); } svg .mid { text-anchor: middle; } svg .end { text-anchor: end; }
svg .value { font-weight: 600; fill: var(--text);
  paint-order: stroke; stroke: var(--panel); stroke-width: 4px; stroke-linejoin: round; }
svg .value.up { fill: var(--up); } svg .value.down { fill: var(--down); }
svg .name { fill: var(--text); font-size: 12px; }
.grid { stroke: var(--grid); } .zero { stroke: var(--axis); } .diagonal { stroke: var(--axis); stroke-dasharray: 4 4; }
.mean { stroke: var(--text); stroke-dasharray: 2 3; stroke-width: 1.3; }
.band { fill: var(--band); } .band.two { fill: var(--band2); }
.curve { fill: none; stroke-width: 1.7; stroke-linejoin: round; }
.curve.up { stroke: var(--up); } .curve.down { stroke: var(--down); } .curve.model { stroke: var(--model); stroke-opacity: .55; }
.bar.up { fill: var(--up); } .bar.down { fill: var(--down); } .bar.model { fill: var(--model); }
.point { fill: var(--model); } .error { stroke: var(--model); stroke-width: 1.3; }
.stretch.train { fill: var(--train); } .stretch.calibrate { fill: var(--calibrate); } .stretch.test { fill: var(--test); }
@media print { section { break-inside: avoid; } }
"""

PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
<header>{head}</header>
{body}
</main>
</body>
</html>
"""
