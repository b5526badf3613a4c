"""The first picture of the README: verdict and corner plot of a report on real data, as a browser shows them.

    python docs/figures/report.py chromium [FOLDER]

The first argument is the command of a headless Chromium. The data are 20,000 pixels of a photograph of scikit-learn,
three columns of whole numbers. Runs the two commands that the README shows (minutes; a FOLDER that has the model of an
earlier run is used again) and writes docs/figures/report.png. The page is rendered twice, each time with its other
sections hidden, and the two halves are put side by side.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops
from sklearn.datasets import load_sample_image

HERE = Path(__file__).resolve().parent
ROWS, SEED = 20_000, 0
FIT = "fit pixels.csv -o pixels.safetensors --support red=0..255 --support green=0..255 --support blue=0..255"
REPORT = "report pixels.safetensors pixels.csv -o report.html --overwrite"
HALVES = {"header, #verdict": 640, "#pairs": 560}  # what is shown of the page, and its width in CSS pixels
SCALE, MARGIN = 1.5, 18  # pixels of the picture for each of them; and empty ones above and below
COLOURS = 64


def main() -> None:
    """Fit, report, photograph."""
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: python docs/figures/report.py CHROMIUM [FOLDER]")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name if len(sys.argv) == 2 else sys.argv[2])
        folder.mkdir(exist_ok=True)
        write_pixels(folder / "pixels.csv")
        for command in ([] if (folder / "pixels.safetensors").exists() else [FIT]) + [REPORT]:
            subprocess.run([sys.executable, "-m", "counterflow", *shlex.split(command)], cwd=folder, check=True)
        page = (folder / "report.html").read_text(encoding="utf-8")
        halves = [photograph(sys.argv[1], page, shown, width) for shown, width in HALVES.items()]
    picture = Image.new("RGB", (sum(h.width for h in halves), max(h.height for h in halves)), "white")
    for i, half in enumerate(halves):
        picture.paste(half, (sum(h.width for h in halves[:i]), 0))
    picture.quantize(COLOURS).save(HERE / "report.png", optimize=True)


def write_pixels(path: Path) -> None:
    """Red, green and blue of pixels drawn without replacement."""
    pixels = load_sample_image("flower.jpg").reshape(-1, 3)
    chosen = np.random.default_rng(SEED).permutation(len(pixels))[:ROWS]
    np.savetxt(path, pixels[chosen], fmt="%d", delimiter=",", header="red,green,blue", comments="")


def photograph(chromium: str, page: str, shown: str, width: int) -> Image.Image:
    """Some parts of a page, without what is empty above and below."""
    hide = f"body :is(header, nav, section, footer):not({shown}) {{ display: none }}"
    flat = "main > section { border: 0 !important; margin: 0 !important; padding: 0 !important }"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        html, out = Path(name) / "page.html", Path(name) / "page.png"
        html.write_text(page.replace("</head>", f"<style>{hide} {flat}</style></head>"), encoding="utf-8")
        quiet = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={name}/profile"]
        size = ["--hide-scrollbars", f"--window-size={width},1400", f"--force-device-scale-factor={SCALE}"]
        command = [chromium, *quiet, *size, f"--screenshot={out}", html.as_uri()]
        subprocess.run(command, check=True, capture_output=True)
        whole = Image.open(out).convert("RGB")
    box = ImageChops.difference(whole, Image.new("RGB", whole.size, "white")).getbbox()
    if box is None:
        sys.exit(f"the browser shows nothing of {shown}")
    half = Image.new("RGB", (whole.width, box[3] - box[1] + 2 * MARGIN), "white")
    half.paste(whole.crop((0, box[1], whole.width, box[3])), (0, MARGIN))
    return half


if __name__ == "__main__":
    main()
