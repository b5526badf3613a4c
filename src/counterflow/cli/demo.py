"""`counterflow demo`: the whole job on the real digits of scikit-learn, a student included, as a user would do it."""

import shlex
from pathlib import Path

import numpy as np

from ..files import replacing
from ..report import Figure, image_grid, save_images_beside
from ..report.certified import Certified
from ..report.student_words import made_in_words
from ..tables import write_table
from ..tabular import Recipe, TableModel
from .console import Console
from .distilling import DistilFiles, Job, check_distil_files, distil_table
from .fit_words import score_in_words
from .fitting import Files, Words, check_files, fit_table, report_fit
from .images import Images
from .refusal import OUTPUT, Refusal
from .roles import Wanted, load_table
from .student_recipe import StudentRecipe

HIDDEN, START_STEPS, STEPS, DRAWS = (128, 128), 600, 0, 2000  # of the student: a minute or two
PIXELS = Images(shape=(8, 8), limits=(0.0, 17.0))


def run_demo(folder: Path, seed: int, threads: int, console: Console) -> None:
    """Write data, model, student, picture and report into a folder that belongs to the demo, and say where to look.

    Raises:
        Refusal: the folder cannot be made or written to.
    """
    if folder.exists() and not folder.is_dir():
        raise Refusal(OUTPUT, f"{folder} is not a folder")
    folder.mkdir(parents=True, exist_ok=True)
    files = Files(folder / "digits.npy", folder / "model.safetensors", report=folder / "report.html", overwrite=True)
    student_files = DistilFiles(files.out, folder / "student.safetensors", overwrite=True)
    check_files(files)
    console.note("The handwritten digits of scikit-learn: 1,797 images of 8 x 8 pixels with 17 grey levels.")
    console.note("Uniform noise from [0, 1) makes the levels continuous, so that a density exists.")
    pixels = _digits(seed)
    write_table(files.data, pixels.shape, [pixels])
    recipe = Recipe(seed=seed)
    table = load_table(Wanted(files.data), recipe.model, console)
    words = ["counterflow", "fit", files.data, "-o", files.out, "--seed", seed, "--threads", threads]
    command = shlex.join(map(str, words))
    said = Words(command, f"{command} --overwrite --resume")  # a second demo replaces the files of the first
    fitted = fit_table(table, files, recipe, said, console)
    console.note("Distilling it into a student that draws in one pass.")
    certificate, student = _distilled(fitted.model, student_files, seed, threads, console)
    page, picture = folder / "report.html", folder / "samples.png"
    drawn = draw(fitted.model, 100, seed)
    data = fitted.parts.training.x[:100].numpy()
    console.note("Judging the model on the test rows, for the report.")
    report_fit(page, table, fitted, said, console, images=_pictures(data, drawn), certificate=certificate, seed=seed)
    with replacing(picture) as temporary:
        save_images_beside(temporary, data, drawn, shape=PIXELS.shape, limits=PIXELS.limits)
    console.say(f"Trained {fitted.history.steps:,} steps in {fitted.history.seconds:.0f} s.")
    console.say(score_in_words(fitted.score))
    console.say(made_in_words(student.facts))
    for sentence in certificate.sentences():
        console.say(sentence)
    console.say("Look at:")
    console.say(f"  {page.resolve().as_uri()}   the report, in a browser")
    console.say(f"  {picture}   samples beside data")
    console.say(f"  {files.out}   the model; try: counterflow inspect {files.out}")
    console.say(f"  {student_files.out}   its student; try: counterflow sample {student_files.out} -n 1000 -o x.csv")
    written = [str(path) for path in (files.data, files.out, student_files.out, page, picture)]
    console.result({"written": written, **fitted.model.facts, "student": dict(student.facts)})


def _distilled(
    model: TableModel, files: DistilFiles, seed: int, threads: int, console: Console
) -> tuple[Certified, TableModel]:
    """A student, certified and written, as `counterflow distil` with the same options would."""
    check_distil_files(files)
    recipe = StudentRecipe(HIDDEN, 2, START_STEPS, STEPS, 256, 2e-3, None, DRAWS, seed)
    words = ["counterflow", "distil", files.teacher, "-o", files.out, "--hidden", ",".join(map(str, HIDDEN))]
    words += ["--start-steps", START_STEPS, "--steps", STEPS, "--draws", DRAWS, "--seed", seed, "--threads", threads]
    command = shlex.join(map(str, words))
    return distil_table(model, None, Job(files, recipe, Words(command, f"{command} --overwrite --resume")), console)


def draw(model: TableModel, rows: int, seed: int) -> np.ndarray:
    """Samples from a stream of their own."""
    import torch

    return model.sample(rows, generator=torch.Generator().manual_seed(seed))


def _pictures(data: np.ndarray, drawn: np.ndarray) -> tuple[Figure, ...]:
    grids = [image_grid(rows[: PIXELS.shown], PIXELS.shape, PIXELS.columns, PIXELS.limits) for rows in (data, drawn)]
    return (
        Figure(grids[0], f"{min(PIXELS.shown, len(data))} training rows"),
        Figure(grids[1], f"{min(PIXELS.shown, len(drawn))} samples of the model"),
    )


def _digits(seed: int) -> np.ndarray:
    from sklearn.datasets import load_digits  # seconds to import, and only the demo needs it

    levels, _ = load_digits(return_X_y=True)
    noise = np.random.default_rng(seed).random(levels.shape)
    return np.asarray(levels + noise, dtype=np.float32)
