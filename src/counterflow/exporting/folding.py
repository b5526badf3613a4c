"""What an exported program computes from constants alone, computed once."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.fx import GraphModule, Node

from .problem import ExportProblem

Decompositions = Mapping[Any, Callable[..., Any]]


def folded(program: ExportedProgram, decompositions: Decompositions) -> GraphModule:
    """The same program with each expression of constants replaced by its value.

    Masked weights become one tensor instead of two and a product; what no runtime has an operation for (the next
    number of a precision, log gamma) is gone where it is asked of constants.

    Args:
        program: Whose operations may write in place.
        decompositions: Operations to write out in terms of others.

    Raises:
        ExportProblem: the program draws random numbers.
    """
    module = program.run_decompositions(
        dict(decompositions)
    ).module()  # operations that write in place are now functions
    assert isinstance(module, GraphModule)
    graph, known = module.graph, _constants(module)
    for node in list(graph.nodes):
        if node.op == "call_module" and not node.users:  # torch's guards of the inputs; they are made again
            graph.erase_node(node)
        elif node.op == "call_function" and node in known and any(user not in known for user in node.users):
            name = f"constant_{node.name}"
            module.register_buffer(name, known[node].contiguous())
            with graph.inserting_before(node):
                node.replace_all_uses_with(graph.get_attr(name), lambda user: user not in known)
    graph.eliminate_dead_code()
    return GraphModule(module, graph)  # holds only what the graph still names


def _constants(module: GraphModule) -> dict[Node, Any]:
    """The values of all nodes that depend on no input."""
    known: dict[Node, Any] = {}
    for node in module.graph.nodes:
        if node.op == "get_attr":
            known[node] = _attribute(module, str(node.target))
        elif node.op == "call_function":
            if torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ()):
                raise ExportProblem(f"a layer of this flow draws random numbers of its own ({node.target})")
            if all(source in known for source in node.all_input_nodes):
                arguments = torch.fx.map_arg((node.args, node.kwargs), lambda source: known[source])
                with torch.no_grad():
                    value = node.target(*arguments[0], **arguments[1])
                known[node] = value.clone() if isinstance(value, Tensor) else value
    return known


def _attribute(module: torch.nn.Module, path: str) -> Any:
    for name in path.split("."):
        module = getattr(module, name)
    return module
