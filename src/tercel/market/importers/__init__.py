"""importers owns how files become records: one file per format, all behind one small face.

It never decides where rows are stored, never merges, never repairs a value: a format turns a file into batches, and that is all it does.

To add a format, write one module here with a `FORMATS` tuple and name the module in `detect.MODULES`:

    def recognises(head: Head) -> bool: ...                      # by content: `head.data` is the beginning of the file
    def read(path: Path, options: Options) -> Iterator[Batch]: ...  # batches of one series each, in file order, bounded memory
    FORMATS = (Format("kraken-trades", "Kraken trades CSV", recognises, read),)

`batch.py` says what a batch is. A reader raises `DataError` (by `batch.refuse`) with row and column for what it cannot read, `NoRows` when
there is nothing in the file; whether prices, sizes and times make sense is checked for every format alike in `validate.py`. Where the clock
depends on the file a format has `clock`. A format that is known but has no place in the catalog says why in `left_out`: a folder then names
its files instead of failing at them.

Text formats build on `textfile.py` (blocks, columns, times) and `clock.py` (time zones), formats of a book's best levels on `depth.py`.
Zip, gzip, zstd and LZMA are unpacked by `compressed.py` while they are read: `head.data` is plain already, `textfile.blocks` takes
compressed files, everything else reads with `compressed.open_plain`. Heavy libraries are imported inside functions. Order of times,
dates, duplicates, decimals, the report and the catalog are the work of `run.py` and `market.writer`.

Start in `run`, then read `truefx`, the smallest format.
"""
