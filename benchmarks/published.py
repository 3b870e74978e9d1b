"""Presets against other people's implementations: parameters, and MACs by PyTorch's counter.

    python -m benchmarks.published [--out FILE]

Needs timm and transformers, of which it builds the same networks on the meta device. MACs are
those of a forward pass of one image, or of text at the preset's own lengths.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from search_spaces import CountTable, count, preset

TIMM = {
    **{
        f"vit_{short}_{patch}": f"vit_{name}_patch{patch}_224"
        for short, name, patches in (
            ("ti", "tiny", (16,)),
            ("s", "small", (8, 16, 32)),
            ("b", "base", (8, 16, 32)),
            ("l", "large", (16, 32)),
        )
        for patch in patches
    },
    "deit_s": "deit_small_patch16_224",
    "swin_t": "swin_tiny_patch4_window7_224",
    "swin_s": "swin_small_patch4_window7_224",
    "swin_b": "swin_base_patch4_window7_224",
    "resnet50": "resnet50",
    "resnext50_32x4d": "resnext50_32x4d",
    "regnety_4gf": "regnety_040",
    "mobilenet_v2": "mobilenetv2_100",
    "efficientnet_b0": "efficientnet_b0",
}
"""timm's name of each preset."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--out", type=Path, help="JSON file")
    options = parser.parse_args()
    table, rows = CountTable(), []
    print(f"{'preset':18}{'params':>14}{'theirs':>14}{'MACs M':>12}{'theirs':>12}  by")
    for name, (source, params, macs) in (_from_timm() | _from_transformers()).items():
        counts = count(preset(name), table)
        rows.append(
            {
                "preset": name,
                "params": counts.params,
                "params_published": params,
                "macs": counts.macs,
                "macs_published": macs,
                "by": source,
            }
        )
        print(
            f"{name:18}{counts.params:14,}{params:14,}{counts.macs / 1e6:12.2f}"
            f"{macs / 1e6:12.2f}  {source}"
        )
    if options.out:
        options.out.write_text(json.dumps(rows, indent=1) + "\n")


def _from_timm() -> dict[str, tuple[str, int, int]]:
    import timm

    def build(name: str) -> nn.Module:
        model: nn.Module = timm.create_model(name, num_classes=1000)
        return model.eval().to("meta")

    image = torch.empty(1, 3, 224, 224, device="meta")
    by = f"timm {timm.__version__}"
    return {
        preset_name: (by, _params(model), _macs(model, image))
        for preset_name, name in TIMM.items()
        for model in [build(name)]
    }


def _from_transformers() -> dict[str, tuple[str, int, int]]:
    import transformers as hf

    t5: dict[str, Any] = {"d_kv": 64, "dropout_rate": 0.0}
    with torch.device("meta"):
        models = {
            "gpt2_small": hf.GPT2LMHeadModel(hf.GPT2Config()),
            "t5_small": hf.T5ForConditionalGeneration(
                hf.T5Config(
                    vocab_size=32128, d_model=512, d_ff=2048, num_layers=6, num_heads=8, **t5
                )
            ),
            "byt5_small": hf.T5ForConditionalGeneration(
                hf.T5Config(
                    vocab_size=384,
                    d_model=1472,
                    d_ff=3584,
                    num_layers=12,
                    num_decoder_layers=4,
                    num_heads=6,
                    feed_forward_proj="gated-gelu",
                    tie_word_embeddings=False,
                    **t5,
                )
            ),
            "switch_base_8": hf.SwitchTransformersForConditionalGeneration(
                hf.SwitchTransformersConfig(
                    vocab_size=32128,
                    d_model=768,
                    d_ff=3072,
                    num_layers=12,
                    num_sparse_encoder_layers=6,
                    num_decoder_layers=12,
                    num_sparse_decoder_layers=6,
                    num_heads=12,
                    num_experts=8,
                    d_kv=64,
                )
            ),
        }
    by = f"transformers {hf.__version__}"
    result = {}
    for name, model in models.items():
        length = preset(name).input_shapes[0][0]
        ids = torch.zeros(1, length // (2 if name != "gpt2_small" else 1), dtype=torch.long)
        inputs = {"input_ids": ids.to("meta")}
        if name != "gpt2_small":
            inputs["decoder_input_ids"] = ids.to("meta")
        # Routing to experts depends on data, which the meta device has not.
        macs = 0 if name == "switch_base_8" else _macs(model.eval(), **inputs)
        result[name] = (by, _params(model), macs)
    return result


def _params(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def _macs(model: nn.Module, *args: torch.Tensor, **kwargs: torch.Tensor) -> int:
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        model(*args, **kwargs)
    return int(counter.get_total_flops()) // 2


if __name__ == "__main__":
    main()
