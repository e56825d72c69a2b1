"""`sagatrace init --print-az`: the commands for an administrator, if the workers' identity cannot create containers."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator

from sagatrace.stores.cosmos.address import CosmosAddress
from sagatrace.stores.cosmos.provisioning import LEAN_INDEX, PARTITION_KEY, Plan

__all__ = ["az_recipe"]

_READER = "00000000-0000-0000-0000-000000000001"
_CONTRIBUTOR = "00000000-0000-0000-0000-000000000002"


def az_recipe(address: CosmosAddress, plan: Plan) -> Iterator[str]:
    """Yield the shell lines that create the database, the container and the role assignments."""
    account = shlex.quote(address.host.partition(".")[0].partition(":")[0])
    database, container = shlex.quote(address.database), shlex.quote(address.container)
    scope = shlex.quote(f"/dbs/{address.database}/colls/{address.container}")
    where = f"--account-name {account} --resource-group $RESOURCE_GROUP"
    yield "# Set these: the resource group of the account; object ids of identities, as in `az ad sp show --id …`"
    yield "RESOURCE_GROUP=… WRITER=… READER=…"
    yield ""
    yield f"az cosmosdb sql database create {where} --name {database}"
    yield f"az cosmosdb sql container create {where} --database-name {database} --name {container} \\"
    yield f"  --partition-key-path {PARTITION_KEY} --partition-key-version 2 --ttl {plan.ttl or -1}{_options(plan)}"
    yield ""
    yield "# Workers and their shippers: Cosmos DB Built-in Data Contributor, for this container only"
    yield f"az cosmosdb sql role assignment create {where} --scope {scope} \\"
    yield f"  --role-definition-id {_CONTRIBUTOR} --principal-id $WRITER"
    yield ""
    yield "# People with the explorer: Cosmos DB Built-in Data Reader"
    yield f"az cosmosdb sql role assignment create {where} --scope {scope} \\"
    yield f"  --role-definition-id {_READER} --principal-id $READER"


def _options(plan: Plan) -> str:
    options = ""
    if plan.throughput is not None and plan.throughput.kind == "manual":
        options += f" --throughput {plan.throughput.units}"
    elif plan.throughput is not None and plan.throughput.kind == "autoscale":
        options += f" --max-throughput {plan.throughput.units}"
    if plan.lean:
        options += f" \\\n  --idx {shlex.quote(json.dumps(dict(LEAN_INDEX)))}"
    return options
