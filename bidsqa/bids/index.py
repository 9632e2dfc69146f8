# SPDX-License-Identifier: Apache-2.0
"""PyBIDS: an index of exactly the images that were found, or the user's own index on disk, and queries to them."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bidsqa.bids.folders import DATATYPE, Found, Notes, data_folders, parse_image
from bidsqa.bids.scan import ENTITIES, EXTENSIONS
from bidsqa.bids.selection import Token
from bidsqa.errors import UsageError

DATABASE_FILE = "layout_index.sqlite"


def index_images(images: Iterable[Found]) -> Any:
    """A PyBIDS layout in memory that knows the given images and nothing else.

    PyBIDS takes any callable as its indexer. Ours hands over what was found already: the stock one walks the whole
    tree, reads a ``layout_config.json`` that lies about, stops at the first broken sidecar, and takes entities
    from the folders above the dataset.

    Parameters
    ----------
    images : iterable of Found

    Returns
    -------
    bids.BIDSLayout
    """
    from bids import BIDSLayout
    from bids.layout.models import BIDSImageFile, Tag

    def indexer(layout: Any) -> None:
        files, tags = [], []
        for image in images:
            path = str(image.path)
            place = {"path": path, "filename": image.path.name, "dirname": str(image.path.parent)}
            files.append({**place, "is_dir": False, "class_": "image_file"})
            facts = {ENTITIES.get(key, key): label for key, label in image.entities.items()}
            facts |= {"suffix": image.suffix, "extension": image.extension, "datatype": DATATYPE}
            for name, value in facts.items():
                kind = "int" if name == "run" else "str"  # PyBIDS compares runs as numbers
                tags.append(
                    {"file_path": path, "entity_name": name, "_value": value, "_dtype": kind, "is_metadata": False}
                )
        layout.session.bulk_insert_mappings(BIDSImageFile, files)
        layout.session.bulk_insert_mappings(Tag, tags)
        layout.session.commit()

    # an empty folder stands in for the dataset: PyBIDS reads its description and trusts the types in it
    with tempfile.TemporaryDirectory(prefix="bidsqa-") as nowhere:
        return BIDSLayout(nowhere, validate=False, indexer=indexer)


def open_database(root: Path, folder: Path) -> Any:
    """The user's PyBIDS index; made for the whole dataset where it isn't there yet.

    Parameters
    ----------
    root : Path
        The dataset.
    folder : Path
        The index's folder (``--bids-database-dir``).

    Raises
    ------
    UsageError
        It can't be read, or it is the index of another dataset.
    """
    from bids import BIDSLayout
    from bids.layout.index import BIDSLayoutIndexer
    from sqlalchemy.exc import SQLAlchemyError

    indexer = BIDSLayoutIndexer(validate=False, index_metadata=False, config_filename=".no-such-file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            layout = BIDSLayout(root, validate=False, indexer=indexer, database_path=folder)
    except (OSError, SQLAlchemyError) as error:
        reason = str(error).partition("\n")[0]
        raise UsageError(
            f"The BIDS index in {folder} can't be opened: {reason}.",
            "Check the folder, or remove it to have it made anew.",
        ) from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"PyBIDS can't index the dataset: {error}.", "Check dataset_description.json with the BIDS validator."
        ) from error
    if Path(layout.root) != root:
        raise UsageError(
            f"The BIDS index in {folder} belongs to the dataset {layout.root}.", "Give another: --bids-database-dir DIR"
        )
    return layout


def images_of(layout: Any, root: Path, participants: Iterable[Path]) -> tuple[list[Found], Notes]:
    """The anatomical images of some participants that an index on disk knows; notes as `find_images` has them."""
    chosen = list(participants)
    labels = [folder.name.removeprefix("sub-") for folder in chosen]
    found: list[Found] = []
    _, others = data_folders(chosen)  # an index may leave out whole kinds of data
    notes: Notes = []
    for text in query(layout, {"subject": labels, "datatype": [DATATYPE], "extension": list(EXTENSIONS)}):
        path = Path(text)
        gone = "it is in the BIDS index, but no longer in the dataset"
        image = parse_image(root, path) if os.path.lexists(path) else gone
        if isinstance(image, str):
            notes.append((path.relative_to(root).as_posix(), image))
        else:
            found.append(image)
    return found, notes + others


def query(layout: Any, filters: Mapping[str, list[Any]]) -> list[str]:
    """Paths of the images that fit.

    Parameters
    ----------
    layout : bids.BIDSLayout
    filters : mapping of str to list
        PyBIDS entity name to labels and `Token`; an empty list asks for nothing.
    """
    from bids.layout import Query

    asked = {
        name: [Query[value.name] if isinstance(value, Token) else value for value in values]
        for name, values in filters.items()
    }
    return list(layout.get(return_type="filename", invalid_filters="allow", **asked))
