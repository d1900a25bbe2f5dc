"""Writes docs/features.md: how features are used and added, and the table of all there are."""

from realtime.kernels.features.catalogue import CATALOGUE, OUTPUTS, feature

_HEAD = """\
# Features

<!-- Written by `python -m realtime.kernels.features > docs/features.md`; a test keeps it true. -->

A feature is one output of a kernel with its parameters, on a clock. Its column name says it all:
`m5_rsi_14` is the RSI of 14 finished M5 bars, `tick_spread_z_100` steps with every tick,
`h1_bollinger_lower_20_2p5` has a width of 2.5. Clocks are `tick` and MetaTrader's timeframes up to
`d1`. A value is NaN until its warm-up is over, and is held from one bar to the next.

```python
from realtime.kernels.features.feature_set import FeatureSet

chosen = FeatureSet(features=("tick_spread", "m1_log_return_5", "m5_rsi_14", "h1_macd_12_26_9"))
chosen.identity  # changes with the choice and with the code that computes it
fused = chosen.compile()  # one kernel for exactly these, compiled once and kept on disk
state = fused.state()

# history, in chunks of any size: a row for each tick, or for each finished bar of a clock
for times_ns, rows in fused.history(ticks, days, clock="m5", state=state):
    ...

# live, the same kernel and the same state; about a microsecond
row = numpy.empty(len(fused.columns))
finished = fused.live_step(state, tick, days, day_row, quotes, row)
if finished & fused.clock_bits["m5"]:
    ...
```

`feed="m1"` takes finished M1 bars instead of ticks. Features that look at other symbols name them:
`symbols=("EURUSD", "GBPUSD")` makes GBPUSD number 1, and `compile(rows=(3, 7))` says which rows of
the desk's quotes the two are.

Oscillators and averages equal TA-Lib to 1e-9, with its seeding, from the first value on. The window
kernels cost the same for every window length, and do not drift: after ten million steps they are
what a fresh computation over the last window gives.

## Add a feature

1. In the module of its family (`trend`, `momentum`, `bands`, `volume`, `volatility`, ...) write the
   memory and the step, made of the primitives in `windows.py` and `moments.py`:

   ```python
   @kernel
   def body_step(memory, bar, n, row, at):
       \"\"\"Write the mean size of the last `n` bodies as a fraction of the close.\"\"\"
       body = abs(bar["close"] - bar["open"]) / bar["close"]
       row[at] = windows.sum_step(memory, body, n) / n
   ```

   No clock, no allocation, no NumPy functions on scalars; guard divisions; write NaN until warm.
2. Declare it in that module's `KERNELS`:

   ```python
   FeatureKernel(
       name="body",
       step=body_step,
       state=windows.sum_state,
       params={"n": 20},
       outputs=(
           Output(
               name="body",
               unit="fraction",
               description="Mean size of the last n bodies over the close.",
               oracle="numpy.mean(abs(close - open) / close) over n bars",
               warm_up=lambda n: n - 1,
           ),
       ),
   )
   ```

   A step may also take the trading day and the quotes of all symbols: `inputs=("bar", "day")`.
3. Add a line with its oracle to the family's test, and run
   `python -m realtime.kernels.features > docs/features.md`.

`m5_body_20` can now be chosen everywhere. The tests of the catalogue find the rest: step equals
fold bit for bit, NaN exactly until the warm-up, no drift, no infinity.

## All features
"""

_INTRO = """
{outputs} outputs of {kernels} kernels, shown with their default parameters on the clock `m5`.
Warm-up is the number of bars before the first value.

| column | also | unit | warm-up | what it is | equals |
|---|---|---|---:|---|---|
"""


def features_page() -> str:
    """Return the text of docs/features.md."""
    rows = [_row(output.name) for kernel in CATALOGUE.values() for output in kernel.outputs]
    intro = _INTRO.format(outputs=len(OUTPUTS), kernels=len(CATALOGUE))
    return _HEAD + intro + "\n".join(rows) + "\n"


def _row(name: str) -> str:
    shown = feature("m5", name)
    presets = [feature("m5", name, **params).name for params in shown.kernel.presets]
    output = shown.output
    cells = [
        f"`{shown.name}`",
        ", ".join(f"`{each}`" for each in presets),
        output.unit,
        str(shown.warm_up),
        output.description,
        f"`{output.oracle}`",
    ]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
