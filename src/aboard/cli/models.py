"""`aboard models`: what the catalogue has and what of it is here."""

from __future__ import annotations

from aboard.cli import options


def models(as_json: options.Json = False) -> None:
    """List the catalogue's models and which of them are on this machine."""
    from aboard.amounts import megabytes
    from aboard.cli.output import columns, json_result
    from aboard.store import default_store

    store = default_store()
    entries = list(store.catalogue.values())
    if as_json:
        json_result(
            [
                {
                    "name": entry.name,
                    "description": entry.description,
                    "package": entry.requirement,
                    "license": entry.license,
                    "n_parameters": entry.n_parameters,
                    "size_bytes": entry.size_bytes,
                    "sha256": entry.sha256,
                    "state": store.state(entry).value,
                    "path": store.path(entry),
                }
                for entry in entries
            ]
        )
        return
    columns(
        [
            ("NAME", "STATE", "SIZE", "LICENCE", "DESCRIPTION"),
            *(
                (
                    entry.name,
                    store.state(entry).value,
                    megabytes(entry.size_bytes),
                    entry.license,
                    entry.description,
                )
                for entry in entries
            ),
        ]
    )
