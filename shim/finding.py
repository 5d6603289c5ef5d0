"""Finding what a request is for: by its name among what upstreams offer, or by the task that a call has left."""

from __future__ import annotations

from shim.catalog import Catalog
from shim.methods import Asked, Found, Method, Sees
from shim.model import Identity, Tool
from shim.tasks import Tasks
from shim.upstream.supervisor import Upstreams


class Finder:
    """Finds targets. Of two looks at the catalog the second is after the first attempts to connect that matter."""

    def __init__(self, catalog: Catalog, upstreams: Upstreams, tasks: Tasks) -> None:
        self._catalog = catalog
        self._upstreams = upstreams
        self._tasks = tasks

    async def find(self, method: Method, asked: Asked, identity: Identity, sees: Sees) -> Found:
        """The target; None where there is none. Its arguments can be judged by now, if the caller sees it.

        Raises RecordUnavailable where a task cannot be looked for.
        """
        if asked.task is not None:
            return await self._of_task(asked.task, identity)
        found = method.find(asked, self._catalog, sees) if not method.waits else None
        if found is None or found.target is None:
            await self._upstreams.settled()
        elif self._upstreams.can_judge(found.target.upstream) or not sees(found.target.ref):
            return found
        else:
            await self._upstreams.tried(found.target.upstream)
        return method.find(asked, self._catalog, sees)

    async def _of_task(self, id_: str, identity: Identity) -> Found:
        task = await self._tasks.find(identity.name, id_)
        if task is None or not self._catalog.has(task.upstream):
            return Found(None, None)
        tool = self._catalog.now.by_ref.get(task.tool)
        if tool is None:
            # Its upstream has the task still, though not the tool any more.
            name = task.tool.removeprefix(f"{task.upstream}/")
            tool = self._catalog.curation.of(Tool(task.upstream, name, name, {}, ""))
        return Found(tool, tool.ref, task.grant)
