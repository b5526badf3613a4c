"""`counterflow demo`: the whole job on the real digits of scikit-learn, as a user would do it."""

import shlex
from pathlib import Path

import numpy as np

from ..files import replacing
from ..report import save_images_beside
from ..tables import open_table, read_table, write_table
from .console import Console
from .fitting import Files, Words, check_files, fit_table, score_in_words
from .images import Images
from .page import draw, write_page
from .pipeline import Recipe
from .refusal import OUTPUT, Refusal

PIXELS = Images(shape=(8, 8), limits=(0.0, 17.0))


def run_demo(folder: Path, seed: int, threads: int, console: Console) -> None:
    """Write data, model, picture and page into a folder that belongs to the demo, and say where to look.

    Raises:
        Refusal: the folder cannot be made or written to.
    """
    if folder.exists() and not folder.is_dir():
        raise Refusal(OUTPUT, f"{folder} is not a folder")
    folder.mkdir(parents=True, exist_ok=True)
    files = Files(folder / "digits.npy", folder / "model.safetensors", report=folder / "summary.html", overwrite=True)
    check_files(files)
    console.note("The handwritten digits of scikit-learn: 1,797 images of 8 x 8 pixels with 17 grey levels.")
    console.note("Uniform noise from [0, 1) makes the levels continuous, so that a density exists.")
    pixels = _digits(seed)
    write_table(files.data, pixels.shape, [pixels])
    table = read_table(open_table(files.data))
    recipe = Recipe(seed=seed)
    words = ["counterflow", "fit", files.data, "-o", files.out, "--seed", seed, "--threads", threads]
    command = shlex.join(map(str, words))
    fitted = fit_table(table, files, recipe, Words(command, f"{command} --resume"), console)
    page, picture = folder / "summary.html", folder / "samples.png"
    write_page(page, table, fitted, command, PIXELS)
    with replacing(picture) as temporary:
        drawn = draw(fitted.flow, 100, seed).numpy()
        data = fitted.split.training[:100].numpy()
        save_images_beside(temporary, data, drawn, shape=PIXELS.shape, limits=PIXELS.limits)
    console.say(f"Trained {fitted.history.steps:,} steps in {fitted.history.seconds:.0f} s.")
    console.say(score_in_words(fitted.score))
    console.say("Look at:")
    console.say(f"  {page.resolve().as_uri()}   the summary, in a browser")
    console.say(f"  {picture}   samples beside data")
    console.say(f"  {files.out}   the model; try: counterflow inspect {files.out}")
    written = [str(path) for path in (files.data, files.out, page, picture)]
    console.result({"written": written, **fitted.facts})


def _digits(seed: int) -> np.ndarray:
    from sklearn.datasets import load_digits  # seconds to import, and only the demo needs it

    levels, _ = load_digits(return_X_y=True)
    noise = np.random.default_rng(seed).random(levels.shape)
    return np.asarray(levels + noise, dtype=np.float32)
