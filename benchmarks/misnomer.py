"""The counts of The Efficiency Misnomer, row by row, and where its indicators part ways.

python -m benchmarks.misnomer [--json]
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np

from search_spaces import SPACES, Architecture, Counts, CountTable, SparseSpace, count, preset

PRINTED = {
    "vit_b_8": ("86.5", "78.54"),
    "vit_b_16": ("86.6", "17.63"),
    "vit_b_32": ("88.2", "4.42"),
    "vit_b_64": ("95.3", "0.93"),
    "misnomer_d6": ("18.89", "0.61"),
    "misnomer_d8": ("22.44", "0.79"),
    "misnomer_d16": ("36.63", "1.52"),
    "misnomer_d24": ("50.83", "2.25"),
    "misnomer_d32": ("65.03", "2.98"),
    "misnomer_d48": ("93.42", "4.43"),
    "misnomer_w768": ("9.47", "0.31"),
    "misnomer_w1024": ("24.81", "0.92"),
    "misnomer_w1536": ("42.51", "1.70"),
    "misnomer_w3072": ("101.52", "4.44"),
    "misnomer_w4096": ("173.10", "7.80"),
}
"""Millions of parameters and "GFLOPs" in Tables 1 and 2 of the paper."""

COLUMNS = {
    "params": ("params M", 1e6),
    "active_params": ("active M", 1e6),
    "macs": ("MACs G", 1e9),
    "effective_macs": ("effective G", 1e9),
    "flops": ("FLOPs G", 1e9),
    "activations": ("activ. M", 1e6),
    "memory_access_bytes": ("access GB", 1e9),
    "sequential_depth": ("depth", 1),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    table = CountTable()
    rows = [_row(name, count(preset(name), table)) for name in PRINTED]
    pairs = {
        title: {name: count(architecture, table) for name, architecture in group.items()}
        for title, group in _pairs().items()
    }
    if options.json:
        exact = {
            title: {n: {c: getattr(counts, c) for c in COLUMNS} for n, counts in group.items()}
            for title, group in pairs.items()
        }
        print(json.dumps({"rows": rows, "pairs": exact}))
        return
    print("| row | params M | printed | flops / 2e9 | printed | MACs / 1e9 |")
    print("|---|---:|---:|---:|---:|---:|")
    for r in rows:
        print(
            f"| {r['name']} | {r['params_m']:.3f} | {r['printed_params']} | {r['gflops']:.4f} | "
            f"{r['printed_gflops']} | {r['gmacs']:.4f} |"
        )
    for name in ("params", "gflops", "gmacs"):
        n = sum(row[f"{name}_agree"] for row in rows)
        print(f"\n{name}: {n} of {len(rows)} rows as printed", end="")
    print()
    for title, group in pairs.items():
        print(f"\n{title}\n")
        print(f"| | {' | '.join(heading for heading, _ in COLUMNS.values())} |")
        print(f"|---|{'---:|' * len(COLUMNS)}")
        for name, counts in group.items():
            cells = [f"{getattr(counts, c) / scale:.4g}" for c, (_, scale) in COLUMNS.items()]
            print(f"| {name} | {' | '.join(cells)} |")


def _row(name: str, counts: Counts) -> dict[str, Any]:
    params, gflops = PRINTED[name]
    values = {
        "params_m": counts.params / 1e6,
        "gflops": counts.flops / 2e9,
        "gmacs": counts.macs / 1e9,
    }
    return {
        "name": name,
        **values,
        "printed_params": params,
        "printed_gflops": gflops,
        "params_agree": _rounds_to(values["params_m"], params),
        "gflops_agree": _rounds_to(values["gflops"], gflops),
        "gmacs_agree": _rounds_to(values["gmacs"], gflops),
    }


def _rounds_to(value: float, printed: str) -> bool:
    return f"{value:.{len(printed.partition('.')[2])}f}" == printed


def _only(family: str, **fields: Any) -> Architecture:
    """The one network of a space with single choices."""
    space = SPACES[family](**fields)
    return space.decode(np.zeros(len(space.parameters), dtype=np.int64))


def _pairs() -> dict[str, dict[str, Architecture]]:
    image = {"input_channels": 3, "resolution": 224, "classes": 1000}
    vit: dict[str, Any] = {
        **image,
        "patch_size": (16,),
        "width": (768,),
        "heads": (12,),
        "depth": (12,),
        "mlp_ratio": (4,),
        "pool": ("cls",),
    }
    text: dict[str, Any] = {"width": (512,), "heads": (8,), "head_width": (64,), "tied": (True,)}
    t5: dict[str, Any] = text | {
        "source": (256,),
        "target": (256,),
        "encoder_depth": (6,),
        "decoder_depth": (6,),
        "mlp_ratio": (4,),
        "gated": (False,),
    }
    gpt: dict[str, Any] = text | {"context": (512,), "depth": (12,), "mlp_ratio": (4,)}
    sparse = SparseSpace(SPACES["vit"](**vit), (0.9,))
    experts = {
        f"{n} experts, top-1": _only(
            "moe", **vit, experts=(n,), active=(1,), capacity_factor=(1.0,), expert_every=(2,)
        )
        for n in (8, 32)
    }
    return {
        "Depth against width at equal FLOPs": {
            name: preset(name) for name in ("misnomer_d48", "misnomer_w3072")
        },
        "Patch size at near-equal params": {n: preset(n) for n in ("vit_b_8", "vit_b_64")},
        "Layers tied in groups (universal)": {
            f"{groups} groups of 12 layers": _only("universal", **vit, groups=(groups,))
            for groups in (1, 3, 12)
        },
        "Mixture of experts": {"dense": preset("vit_b_16")} | experts,
        "Unstructured sparsity": {
            "dense": preset("vit_b_16"),
            "90 % sparse": sparse.decode(np.zeros(len(sparse.parameters), dtype=np.int64)),
        },
        "Fourier mixing": {
            form: _only("fnet", **vit, mixing=(form,)) for form in ("attention", "fft", "dft")
        },
        "Encoder-decoder against decoder-only, 512 tokens": {
            "6 + 6 layers": _only("encoder_decoder", **t5, vocabulary=(32_128,)),
            "12 layers": _only("decoder", **gpt, vocabulary=(32_128,)),
        },
        "Bytes against subwords, decoder-only": {
            "32,128 subwords": _only("decoder", **gpt, vocabulary=(32_128,)),
            "256 bytes": _only("decoder", **gpt, vocabulary=(256,)),
        },
        "Grouped against dense convolution": {
            name: preset(name) for name in ("resnet50", "resnext50_32x4d", "efficientnet_b0")
        },
    }


if __name__ == "__main__":
    main()
