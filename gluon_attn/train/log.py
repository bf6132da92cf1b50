"""What a run leaves for people: train.log, history.csv, metrics.json, curves.png, TensorBoard scalars, a bar."""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import platform
import sys
import time
from importlib import metadata

from tqdm import tqdm

from gluon_attn._version import __version__
from gluon_attn.errors import WriteError
from gluon_attn.figures import new_figure, save_figure
from gluon_attn.files import write_csv, write_text

COLUMNS = ("epoch", "lr", "train_loss", "top1", "top5", "seconds", "images_per_second")


class RunLog:
    """The folder's text outputs. Only the first worker of a job writes; a full disk costs a warning, not the run."""

    def __init__(self, folder, writes=True, console=True):
        self.folder, self.writes, self.console = folder, writes, console
        self._file = None
        if writes:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = _Handler(folder / "train.log")
        self._scalars = _summary_writer(folder) if writes else None

    def line(self, text, level=logging.INFO):
        """One line to train.log and, around the bar, to the console."""
        if not self.writes:
            return
        stamped = logging.LogRecord("train", level, "", 0, text, (), None)
        self._file.handle(stamped)
        if self.console:
            tqdm.write(text, file=sys.stdout)

    def warn(self, text):
        self.line(f"warning: {text}", logging.WARNING)

    @contextlib.contextmanager
    def going_on(self):
        """Within it, a file that cannot be written is a warning and the training goes on."""
        try:
            yield
        except OSError as error:
            text = str(error) if isinstance(error, WriteError) else f"TensorBoard's scalars were not written ({error})."
            self.warn(f"{text} The training goes on.")

    def history(self, rows):
        """history.csv from all rows so far: rewriting keeps it true after a resume."""
        # Five classes or fewer have no top-5.
        columns = [key for key in COLUMNS if key != "top5" or any(key in row for row in rows)]
        with self.going_on():
            write_csv(
                self.folder / "history.csv", [{k: _short(row.get(k, "")) for k in columns} for row in rows], columns
            )

    def scalars(self, row):
        if self._scalars is not None:
            with self.going_on():
                self._scalars.add({key: row[key] for key in COLUMNS[1:] if key in row}, row["epoch"])

    def metrics(self, values):
        write_text(self.folder / "metrics.json", json.dumps(values, indent=2) + "\n")

    def curves(self, rows, title):
        with self.going_on():
            draw_curves(rows, title, self.folder / "curves.png")

    def close(self):
        if self._file is not None:
            self._file.close()
        if self._scalars is not None:
            with contextlib.suppress(OSError):  # a full disk, which scalars() has warned of
                self._scalars.close()


class _Handler(logging.FileHandler):
    """A log file whose failure (a full disk) must not fill the console with tracebacks."""

    def __init__(self, path):
        super().__init__(path, encoding="utf-8")
        self.setFormatter(logging.Formatter("%(asctime)s %(message)s"))

    def handleError(self, record):
        pass


def bar(total, epoch, epochs, shown=True):
    """The epoch's progress bar: images, images/s, loss and lr; none where its output is no terminal."""
    return tqdm(
        total=total,
        desc=f"epoch {epoch + 1}/{epochs}",
        unit="img",
        leave=False,
        disable=None if shown else True,
        mininterval=0.2,
    )


def versions():
    """Of Python, this package and what its numbers depend on."""
    found = {"python": platform.python_version(), "gluon_attn": __version__}
    for name in ("mxnet", "mxnet-cu112", "mxnet-cu117", "numpy", "gluoncv", "Pillow", "scikit-learn"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def draw_curves(rows, title, path):
    """Training loss and learning rate, and accuracy of the evaluated split, over epochs; the legend has the figures."""
    from matplotlib.ticker import MaxNLocator

    figure = new_figure(9, 3.6)
    figure.suptitle(title)
    left, right = figure.subplots(1, 2)
    _curve(left, rows, "train_loss", "training loss", "{last:.4f}", color="C0")
    rate = left.twinx()
    _curve(rate, rows, "lr", "learning rate", "{last:.2g}", color="0.6", linestyle="--", linewidth=1)
    rate.set(ylabel="learning rate", ylim=(0, None))
    for key, label in (("top1", "top-1"), ("top5", "top-5")):
        _curve(right, rows, key, label, "{last:.2f} %, best {best:.2f} %", scale=100)
    left.set(ylabel="training loss")
    right.set(ylabel="accuracy in %")
    left.legend(handles=[*left.lines, *rate.lines], title="last epoch")
    right.legend(title="last epoch")
    for axes in (left, right):
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
    save_figure(figure, path, dpi=110)


def _curve(axes, rows, key, label, figures, scale=1, **style):
    """One curve over the epochs that have the value, `figures` of it behind its name."""
    points = [(row["epoch"] + 1, scale * row[key]) for row in rows if key in row]
    if not points:
        return
    epochs, values = zip(*points)
    marker = "." if len(epochs) < 40 and "linestyle" not in style else None
    axes.plot(
        epochs, values, label=f"{label}: {figures.format(last=values[-1], best=max(values))}", marker=marker, **style
    )


def row_text(row, epochs, split):
    """One line an epoch."""
    found = f"{split} top-1 {row['top1']:.4f}" if "top1" in row else ""
    found += f" top-5 {row['top5']:.4f}" if "top5" in row else ""
    found += "  " if found else ""
    return (
        f"epoch {row['epoch'] + 1}/{epochs}  loss {row['train_loss']:.4f}  {found}lr {row['lr']:.5f}  "
        f"{row['images_per_second']:.0f} images/s"
    )


def _summary_writer(folder):
    """A TensorBoard writer where tensorboardX is installed."""
    try:
        return _Scalars(folder / "tensorboard")
    except ImportError:
        return None


class _Scalars:
    """TensorBoard's scalars, written when they come.

    tensorboardX's SummaryWriter writes in a thread, which dies on a full disk; the queue to it then fills, and the
    training waits for ever.
    """

    def __init__(self, folder):
        writers = importlib.import_module("tensorboardX.event_file_writer")
        self._event = importlib.import_module("tensorboardX.proto.event_pb2").Event
        self._scalar = importlib.import_module("tensorboardX.summary").scalar
        folder.mkdir(parents=True, exist_ok=True)
        # Its own names have the second alone: the next run in the folder would write over this one's.
        self._file = writers.EventsWriter(str(folder / "events"), f".{time.time_ns()}")

    def add(self, values, step):
        for key, value in values.items():
            event = self._event(summary=self._scalar(key, value), step=step, wall_time=time.time())
            self._file.write_event(event)
        self._file.flush()

    def close(self):
        self._file.close()


def _short(value):
    return f"{value:.6g}" if isinstance(value, float) else value


class Clock:
    """Seconds of a run over all its resumptions."""

    def __init__(self, before=0.0):
        self.before, self.start = before, time.monotonic()

    @property
    def seconds(self):
        return self.before + time.monotonic() - self.start
