"""What the verbs that only look need to know: who there is, and what upstreams offered when they were last read."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import TYPE_CHECKING

from shim.cli.errors import usage
from shim.cli.options import store_path
from shim.cli.text import visible
from shim.model import Identity

if TYPE_CHECKING:
    from shim.catalog import Catalog
    from shim.config.configuration import Configuration
    from shim.model import Offer


def identities(configuration: Configuration) -> list[Identity]:
    """Every identity of the configuration, in its order. Persons are one by the template of their names.

    Grants are for all of them or for none.
    """
    from shim.identity.naming import groups_of

    return [
        Identity(block.name or name, groups_of(name, block), runs=block.runs)
        for name, block in configuration.identities.items()
    ]


def identity(configuration: Configuration, name: str) -> Identity:
    """One identity of the configuration, or somebody whom it would name so. Raises Stop for any other name."""
    block = configuration.identities.get(name)
    if block is not None and block.name is None:
        return Identity(name, block.groups, runs=block.runs)
    from shim.identity.naming import People

    try:
        person = People(configuration.identities).person(name)
    except ValueError:
        # Sound templates alone are configured; this one is as it was written, without its variable.
        raise usage("a `name` under `identities` takes a value from the environment that is not set; set it") from None
    if person is not None:
        return person
    if block is not None:
        raise usage(f"{name} is many persons; name one of them as the claims do: {visible(block.name or '')}")
    known = ", ".join(configuration.identities) or "there are none"
    raise usage(f"{visible(name)!r} is not an identity of this configuration ({known})")


def prefixes(configuration: Configuration) -> list[tuple[str, str]]:
    """Each upstream with the prefix of its tools on the wire, in order."""
    return [(name, block.prefix_of(name)) for name, block in configuration.upstreams.items()]


def contending(configuration: Configuration, upstreams: Container[str]) -> frozenset[str]:
    """These upstreams, and those that may take a name on the wire from them."""
    known = prefixes(configuration)
    theirs = [prefix for name, prefix in known if name in upstreams]
    return frozenset(
        name for name, prefix in known if any(prefix.startswith(other) or other.startswith(prefix) for other in theirs)
    )


def remembered(configuration: Configuration) -> Mapping[str, Offer]:
    """The last catalog of each upstream that the store keeps; empty where there is no store yet."""
    from shim.store.reader import Reader

    path = store_path(configuration)
    if not path.exists():
        return {}
    with Reader(path) as record:
        return record.offers()


def catalog(configuration: Configuration, offers: Mapping[str, Offer]) -> Catalog:
    """The catalog that these offers make."""
    from shim.catalog import Catalog
    from shim.curating import Curation

    return Catalog(prefixes(configuration), offers, Curation(configuration.tools))


def meant(catalog: Catalog, text: str) -> str:
    """What policy calls what a person named: by its real name before all, else as clients see it, with its upstream
    before a slash or by its name on the wire. The text itself where nobody has such a name."""
    known = catalog.now
    if text in known.by_ref or any(out.ref == text for out in known.left_out):
        return text
    upstream, _, name = text.rpartition("/")
    tool = known.by_wire.get(catalog.prefix(upstream) + name if upstream else name)
    return tool.ref if tool is not None and upstream in ("", tool.upstream) else text
