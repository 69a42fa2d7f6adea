"""Which parameters are decayed, and why."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import prune

from course_lib.data import separable
from course_lib.groups import Reason, decay_groups, decay_reasons
from course_lib.models import Perceptron
from course_lib.penalties import l2_penalty

X_GRID = torch.linspace(-5, 5, 101, dtype=torch.float64)


def names_in(module, group):
    return {name for name, p in module.named_parameters() if any(p is held for held in group["params"])}


def owner(kind, base=nn.Module, sizes=(), **shapes):
    """Return a module of a class of that name, with parameters of these shapes: as in foreign code."""
    module = type(kind, (base,), {})(*sizes)
    for name, shape in shapes.items():
        module.register_parameter(name, nn.Parameter(torch.ones(shape)))
    return module


def at(path, module):
    """Return a module that holds another one under a path like a.b."""
    for name in reversed(path.split(".")):
        holder = nn.Module()
        holder.add_module(name, module)
        module = holder
    return module


def network():
    return nn.ModuleDict(
        {
            "embedding": nn.Embedding(5, 4),
            "conv": nn.Conv2d(1, 2, 3),
            "batch": nn.BatchNorm2d(2),
            "layer": nn.LayerNorm(4),
            "group": nn.GroupNorm(2, 4),
            "linear": nn.Linear(4, 3),
        }
    )


def test_weight_matrices_kernels_and_embeddings_are_decayed_biases_and_gains_are_not():
    module = network()
    decayed, free = decay_groups(module, 0.1)
    assert names_in(module, decayed) == {"embedding.weight", "conv.weight", "linear.weight"}
    assert names_in(module, free) == {
        "conv.bias",
        "linear.bias",
        *(f"{norm}.{kind}" for norm in ("batch", "layer", "group") for kind in ("weight", "bias")),
    }


BIAS, NORM = "bias: has to hold an offset", "gain of a normalization"
OF_POSITIONS, SCALE = "makes biases of positions", "scale, shift or temperature"
VECTOR = "vector: one dimension at most is longer than 1"
MATRIX = "matrix: two dimensions or more are longer than 1"


def lazy():
    module = nn.Sequential(nn.LazyConv2d(2, 1), nn.Flatten(), nn.LazyLinear(1))
    module(torch.ones(1, 1, 1, 1))
    return module


@pytest.mark.parametrize(
    "module",
    [
        nn.Linear(4, 1),
        nn.Linear(1, 1),
        nn.Bilinear(1, 1, 1),
        nn.Conv1d(4, 4, 1, groups=4),
        nn.Conv2d(1, 1, 1),
        nn.Conv3d(1, 2, 1),
        nn.ConvTranspose1d(1, 2, 1),
        nn.ConvTranspose2d(1, 1, 1),
        nn.ConvTranspose3d(1, 1, 1),
        nn.Embedding(1, 4),
        nn.EmbeddingBag(4, 1),
        nn.RNN(1, 1),
        nn.LSTM(1, 3, proj_size=1, num_layers=2, bidirectional=True),
        nn.GRU(1, 2),
        nn.RNNCell(1, 1),
        nn.LSTMCell(1, 1),
        nn.GRUCell(1, 1),
        nn.MultiheadAttention(1, 1, add_bias_kv=True),
        nn.MultiheadAttention(2, 1, kdim=1, vdim=1, add_bias_kv=True),
        nn.TransformerDecoderLayer(2, 1, 1).linear1,
        lazy(),
    ],
    ids=repr,
)
def test_weights_of_torchs_layers_are_decayed_whatever_their_shape_and_their_biases_are_not(module):
    for name, reason in decay_reasons(module).items():
        assert reason.decays == ("weight" in name)
        if reason.decays:
            assert reason.why.startswith(("weight of ", "rows of "))
            assert reason.basis == "convention"
        else:
            assert reason == Reason(False, BIAS, "argument")


@pytest.mark.parametrize(
    "module",
    [
        nn.LayerNorm([2, 3]),
        nn.RMSNorm((4, 5)),
        nn.GroupNorm(2, 4),
        nn.BatchNorm1d(3),
        nn.BatchNorm2d(3),
        nn.SyncBatchNorm(3),
        nn.InstanceNorm3d(3, affine=True),
        *(
            owner(kind, weight=(4, 16))
            for kind in (
                "CohereLayerNorm",
                "T5LayerNorm",
                "LlamaRMSNorm",
                "RMSNormGated",
                "RmsNormFp32",
                "QKNorm",
            )
        ),
        *(
            owner(kind, weight=(4, 16))
            for kind in ("LayerNorm2d", "RmsNormAct2d", "EvoNorm2dS0a", "layer_norm")
        ),
        owner("OfAnotherName", nn.LayerNorm, (4,), weight=(4, 16)),
        owner("MultiHeadRMSNorm", gamma=(4, 1, 16)),
    ],
    ids=lambda module: type(module).__name__,
)
def test_what_a_normalization_owns_is_free_whatever_its_shape(module):
    reasons = decay_reasons(module)
    bias, gain = Reason(False, BIAS, "argument"), Reason(False, NORM, "convention")
    assert reasons == {name: bias if name == "bias" else gain for name in reasons}


@pytest.mark.parametrize(
    "module",
    [
        owner("LayerNormLSTMCell", weight_ih=(8, 4)),
        owner("NormFreeBlock", weight=(8, 4)),
        owner("NormalizedLinear", weight=(8, 4)),
        owner("LinearNorm", nn.Linear, (4, 3)),
    ],
    ids=lambda module: type(module).__name__,
)
def test_a_class_that_only_mentions_a_norm_is_none(module):
    name, reason = next(iter(decay_reasons(module).items()))
    assert name.startswith("weight")
    assert reason.decays


RAW = [
    # biases of positions
    ("relative_position_bias_table", (169, 4), False, OF_POSITIONS),
    ("rel_pos_x_bias", (12, 64), False, OF_POSITIONS),
    ("pos_bias_u", (4, 16), False, OF_POSITIONS),
    ("attention_biases", (8, 49), False, OF_POSITIONS),
    # biases
    ("gate_up_proj_bias", (8, 6), False, BIAS),
    ("bias_k", (2, 4), False, BIAS),
    ("e_score_correction_bias", (2, 64), False, BIAS),
    ("biases", (2, 4), False, BIAS),
    ("unbiased", (2, 4), True, MATRIX),
    # positions
    ("pos_embed", (1, 197, 8), False, "position"),
    ("posemb", (197, 8), False, "position"),
    ("position_embedding", (197, 8), False, "position"),
    ("positional_embedding", (197, 8), False, "position"),
    ("positions", (197, 8), False, "position"),
    ("wpe", (197, 8), False, "position"),
    ("rel_pos_h", (27, 8), False, "position"),
    ("patchPos", (27, 8), False, "position"),
    ("positionwise_in", (27, 8), True, MATRIX),
    ("composition", (27, 8), True, MATRIX),
    # tokens
    ("cls_token", (1, 1, 8), False, "token"),
    ("reg_token", (1, 4, 8), False, "token"),
    ("query_tokens", (1, 32, 8), False, "token"),
    ("cls_token_1", (2, 8), False, "token"),
    ("mask_token2", (2, 8), False, "token"),
    *((f"token_{word}", (50, 8), True, MATRIX) for word in ("emb", "embed", "embedding", "embeddings")),
    # scales
    ("temperature", (8, 1, 1), False, SCALE),
    ("logit_scale", (), False, SCALE),
    ("layer_scale_1", (16, 1, 1), False, SCALE),
    ("scale", (4, 8), False, SCALE),
    ("scaling", (4, 8), False, SCALE),
    ("shift", (4, 8), False, SCALE),
    ("gamma_2", (4, 8), False, SCALE),
    ("gain", (4, 8), False, SCALE),
    *((f"scale_{word}", (50, 8), True, MATRIX) for word in ("kernel", "proj", "projection", "weight")),
    # rates
    ("A_log", (16, 4), False, "rate of a recurrence"),
    ("A_logs", (16, 4), False, "rate of a recurrence"),
    ("time_decay", (4, 8), False, "rate of a recurrence"),
    ("logit_table", (4, 8), True, MATRIX),
    ("Xlog", (4, 8), True, MATRIX),
    ("D", (4, 8), True, MATRIX),
    # shapes
    ("latent", (1, 1, 8), False, VECTOR),
    ("sinks", (8,), False, VECTOR),
    ("one", (1,), False, VECTOR),
    ("nothing", (0, 1), False, VECTOR),
    ("experts", (2, 3, 4), True, MATRIX),
    ("router", (2, 3), True, MATRIX),
]


@pytest.mark.parametrize(("name", "shape", "decays", "why"), RAW, ids=[case[0] for case in RAW])
def test_a_parameter_of_a_foreign_module_is_judged_by_its_name_then_by_its_shape(name, shape, decays, why):
    reason = decay_reasons(owner("Attention", **{name: shape}))[name]
    assert reason == Reason(decays, why, "argument" if why == BIAS else "convention")


@pytest.mark.parametrize(
    ("path", "module", "decays", "why"),
    [
        ("transformer.wpe", nn.Embedding(9, 4), False, "position"),
        ("decoder.embed_positions", nn.Embedding(9, 4), False, "position"),
        ("image_position_embed.column_embeddings", nn.Embedding(9, 4), False, "position"),
        ("encoder.embed", owner("LearnedPositionalEmbedding", nn.Embedding, (9, 4)), False, "position"),
        ("encoder.table", owner("PositionalEncoding", weight=(9, 4)), False, "position"),
        ("attention.pos_embed", owner("PosEmbedRel", weight=(9, 4)), False, "position"),
        ("embeddings.position_embeddings", nn.ParameterList([torch.ones(64, 8)]), False, "position"),
        ("position_net.a.b", owner("Deep", weight=(9, 4)), True, MATRIX),
        ("position.0.1.b", owner("Numbered", weight=(9, 4)), False, "position"),
        ("feed_forward", owner("PositionwiseFeedForward", weight=(9, 4)), True, MATRIX),
        ("attention.linear_pos", nn.Linear(4, 3, bias=False), True, "weight of Linear"),
        ("pos_conv_embed", nn.Conv1d(4, 3, 2, bias=False), True, "weight of Conv1d"),
        ("block.relative_attention_bias", nn.Embedding(9, 4), False, OF_POSITIONS),
        ("encoder.rel_pos_x_bias", nn.Linear(9, 4, bias=False), False, OF_POSITIONS),
        ("attn.cpb_mlp.0", nn.Linear(2, 9, bias=False), False, OF_POSITIONS),
        ("continuous_position_bias_mlp.0", nn.Linear(2, 9, bias=False), False, OF_POSITIONS),
        ("attention.bias_net", nn.Linear(2, 9, bias=False), True, "weight of Linear"),
        ("decoder.embed_tokens", nn.Embedding(9, 4), True, "rows of Embedding"),
        ("bert.token", nn.Embedding(9, 4), True, "rows of Embedding"),
        ("norm.scale", nn.Embedding(9, 4), True, "rows of Embedding"),
        ("biases", nn.ParameterList([torch.ones(2, 4)]), False, BIAS),
        (
            "conv",
            owner("ScaledStdConv2d", nn.Conv2d, (3, 4, 1), gain=(4, 3, 1, 1), bias=(4, 1)),
            False,
            SCALE,
        ),
        ("embed_tokens", owner("Scaled", nn.Embedding, (9, 4), eoi_embedding=(4,)), False, VECTOR),
        ("quantized", owner("QuantLinear", nn.Linear, (4, 3), weight_scale=(3, 2)), True, MATRIX),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_parameter_is_judged_by_the_modules_around_it(path, module, decays, why):
    name, reason = list(decay_reasons(at(path, module)).items())[-1]
    assert name.startswith(path)
    assert reason == Reason(decays, why, "argument" if why == BIAS else "convention")


def test_parameters_whose_names_are_numbers_are_judged_by_their_shape():
    reasons = decay_reasons(nn.ParameterList([torch.ones(2, 3), torch.ones(3)]))
    assert reasons == {"0": Reason(True, MATRIX, "convention"), "1": Reason(False, VECTOR, "convention")}


def test_the_skip_of_a_state_space_model_is_free_and_another_matrix_of_that_name_is_not():
    reasons = decay_reasons(owner("ZambaMambaMixer", A_log=(2, 16, 4), D=(2, 16), x_proj_weight=(2, 3, 16)))
    assert [reason.decays for reason in reasons.values()] == [False, False, True]
    assert reasons["D"] == Reason(False, "skip of a state-space model", "convention")


def test_what_its_author_marked_is_free():
    module = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    module[0].weight._no_weight_decay = True
    module[1].weight._no_weight_decay = False
    assert decay_reasons(module)["0.weight"] == Reason(False, "_no_weight_decay", "mark")
    assert decay_reasons(module)["1.weight"].decays


class Marked(nn.Module):
    """As in timm: names relative to the module, perhaps of parameters that are not there."""

    def __init__(self, *names):
        super().__init__()
        self.names = names
        self.first, self.second = nn.Linear(4, 3), nn.Linear(3, 2)

    def no_weight_decay(self):
        return {*self.names, "nowhere"}


@pytest.mark.parametrize(
    ("names", "decayed"),
    [
        ((), {"first.weight", "second.weight"}),
        (("first.weight",), {"second.weight"}),
        (("first.*",), {"second.weight"}),
        (("*.weight",), set()),
        (("weight", "model.first.weight", "first"), {"first.weight", "second.weight"}),
    ],
)
@pytest.mark.parametrize("path", [None, "model", "student.model", "_orig_mod"])
def test_what_a_module_says_of_its_own_parameters_is_heard(names, decayed, path):
    module = Marked(*names) if path is None else at(path, Marked(*names))
    reasons = decay_reasons(module)
    prefix = "" if path is None else f"{path}."
    assert {name for name, reason in reasons.items() if reason.decays} == {prefix + name for name in decayed}
    for name, reason in reasons.items():
        if "weight" in name and not reason.decays:
            assert reason == Reason(False, "no_weight_decay() of Marked", "mark")


@pytest.mark.parametrize("wrapper", ["_checkpoint_wrapped_module", "_fsdp_wrapped_module", "_orig_mod"])
def test_a_wrapper_inside_is_no_part_of_a_name(wrapper):
    module = Marked("second.weight")
    module.second = at(wrapper, module.second)
    module.rel_pos = at(f"table.{wrapper}.a.{wrapper}", owner("Table", weight=(9, 4)))
    reasons = decay_reasons(module)
    assert reasons[f"second.{wrapper}.weight"].basis == "mark"
    assert reasons[f"rel_pos.table.{wrapper}.a.{wrapper}.weight"].decays
    assert not decay_reasons(at(f"rel_pos.{wrapper}.a", owner("Table", weight=(9, 4)))).popitem()[1].decays


@pytest.mark.parametrize("names", ["first.weight", ["first.weight"], {"first.weight": 1}])
@pytest.mark.parametrize("is_method", [True, False])
def test_names_that_are_not_decayed_may_come_in_any_container(names, is_method):
    module = Marked()
    module.no_weight_decay = (lambda: names) if is_method else names
    assert not decay_reasons(module)["first.weight"].decays
    assert decay_reasons(module)["second.weight"].decays


@pytest.mark.parametrize("names", [None, True, [3], [None]])
def test_a_module_that_says_no_names_is_named(names):
    module = Marked()
    module.no_weight_decay = lambda: names
    with pytest.raises(TypeError, match=r"^module: no_weight_decay\(\) of Marked: "):
        decay_groups(module, 0.1)


def test_decays_is_asked_first_and_none_leaves_it_to_the_rule():
    module = Marked("first.weight")
    answers = {"first.weight": True, "second.weight": False, "second.bias": True}
    reasons = decay_reasons(module, decays=lambda name, parameter: answers.get(name))
    assert reasons == {
        "first.weight": Reason(True, "answer of decays", "choice"),
        "first.bias": Reason(False, BIAS, "argument"),
        "second.weight": Reason(False, "answer of decays", "choice"),
        "second.bias": Reason(True, "answer of decays", "choice"),
    }


def test_groups_hold_what_the_reasons_say():
    module = nn.ModuleDict({"net": network(), "marked": Marked("first.weight")})
    reasons = decay_reasons(module)
    decayed, free = decay_groups(module, 0.1)
    assert names_in(module, decayed) == {name for name, reason in reasons.items() if reason.decays}
    assert names_in(module, free) == {name for name, reason in reasons.items() if not reason.decays}


@pytest.mark.parametrize(
    ("parametrize", "expected"),
    [
        (nn.utils.parametrizations.weight_norm, {"weight.original0": True, "weight.original1": True}),
        (nn.utils.parametrizations.orthogonal, {"weight.original": True}),
        (nn.utils.parametrizations.spectral_norm, {"weight.original": True}),
    ],
)
@pytest.mark.parametrize("path", [None, "Xcpb.0"])
def test_a_parametrized_weight_is_judged_as_the_weight_that_it_makes(parametrize, expected, path):
    module = parametrize(nn.Linear(4, 4))
    module = module if path is None else at(path, module)
    prefix = "" if path is None else f"{path}."
    found = {name: reason.decays for name, reason in decay_reasons(module).items()}
    assert found == {f"{prefix}bias": False} | {
        f"{prefix}parametrizations.{name}": decays for name, decays in expected.items()
    }


class Times(nn.Module):
    """A parametrization by a layer that is parametrized itself."""

    def __init__(self):
        super().__init__()
        self.layer = nn.utils.parametrizations.weight_norm(nn.Linear(1, 1, bias=False))

    def forward(self, weight):
        return self.layer.weight * weight


def test_a_parametrized_weight_inside_a_parametrization_is_a_weight_too():
    module = nn.Linear(4, 4, bias=False)
    nn.utils.parametrize.register_parametrization(module, "weight", Times())
    reasons = decay_reasons(module)
    assert len(reasons) == 3
    assert all(reason.decays for reason in reasons.values())


def test_a_parametrized_gain_is_judged_as_a_gain_and_a_parametrized_bias_as_a_bias():
    module = nn.LayerNorm([2, 3])
    for name in ("weight", "bias"):
        nn.utils.parametrize.register_parametrization(module, name, nn.Softplus())
    assert [reason.why for reason in decay_reasons(module).values()] == [NORM, BIAS]


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated:FutureWarning")
def test_the_old_ways_to_parametrize_a_weight_are_known():
    lstm = nn.utils.weight_norm(nn.LSTM(1, 1, bidirectional=True), "weight_hh_l0_reverse")
    for module in (
        nn.utils.weight_norm(nn.Linear(4, 1)),
        nn.utils.spectral_norm(nn.Linear(4, 1)),
        prune.identity(nn.Linear(4, 1), "weight"),
        prune.identity(nn.Linear(4, 1), "bias"),
        lstm,
    ):
        for name, reason in decay_reasons(module).items():
            assert reason.decays == ("weight" in name), name


def test_tied_parameters_are_free_if_one_of_their_owners_leaves_them_free():
    for path in ("position", "other"):
        module = nn.ModuleDict({"decoder": nn.Linear(4, 9, bias=False), path: nn.Embedding(9, 4)})
        module[path].weight = module["decoder"].weight
        assert {name: reason.decays for name, reason in decay_reasons(module).items()} == {
            "decoder.weight": path == "other"
        }


def test_a_parameter_of_two_names_in_one_module_is_free_if_one_of_them_says_so():
    module = owner("Attention", first=(4, 8))
    module.second_bias = module.first
    assert decay_reasons(module) == {"first": Reason(False, BIAS, "argument")}
    marked = Marked("second.weight")
    marked.second.weight = marked.first.weight
    assert decay_reasons(marked)["first.weight"].basis == "mark"


def test_a_lazy_parameter_has_no_group_before_the_first_forward_pass():
    module = nn.Sequential(nn.Linear(2, 3), nn.LazyLinear(1))
    with pytest.raises(
        ValueError, match=r"^module has no shape for '1\.weight' yet: run a forward pass first$"
    ):
        decay_groups(module, 0.1)
    module(torch.ones(1, 2))
    assert decay_reasons(module)["0.weight"].decays


def flat(module):
    """Make each parameter a vector, as sharding does."""
    for part in module.modules():
        for name, parameter in list(part.named_parameters(recurse=False)):
            setattr(part, name, nn.Parameter(parameter.detach().flatten()))
    return module


def test_what_was_flattened_is_judged_as_before_or_refused():
    """Only what nothing but its shape can say has no answer any more."""
    known = {
        "net": network(),
        "norm": owner("LlamaRMSNorm", weight=(2, 4)),
        "experts": owner("Experts", down_proj_bias=(2, 4), cls_token=(2, 4), pos_embed=(2, 4), A_log=(2, 4)),
    }
    module = nn.ModuleDict(known)
    before = decay_reasons(module)
    assert decay_reasons(flat(module)) == before
    module["conv1d"] = owner("Conv1D", weight=(12,))
    message = (
        r"^module was flattened, and 'conv1d\.weight' does not show its shape any more: "
        r"make the groups before FSDP wraps it, with use_orig_params=True$"
    )
    with pytest.raises(ValueError, match=message):
        decay_groups(module, 0.1)
    groups = decay_groups(module, 0.1, decays=lambda name, parameter: True if "conv1d" in name else None)
    assert groups[0]["params"][-1] is module["conv1d"].weight


def test_what_was_flattened_is_told_by_its_name_in_the_module():
    rows = owner("Conv1D", weight=(12,))
    rows.table = flat(nn.Embedding(3, 4))
    with pytest.raises(ValueError, match=r"^module was flattened, and 'weight' does not show its shape"):
        decay_reasons(rows)
    nn.utils.parametrize.register_parametrization(rows, "weight", nn.Identity())
    with pytest.raises(ValueError, match=r"^module was flattened, and 'weight' does not show its shape"):
        decay_reasons(rows)


def test_an_embedding_shows_that_a_module_was_flattened():
    with pytest.raises(ValueError, match=r"^module was flattened, and 'conv1d"):
        decay_groups(
            flat(nn.ModuleDict({"a": nn.Embedding(3, 4), "conv1d": owner("Conv1D", weight=(3, 4))})), 0.1
        )


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated:FutureWarning")
def test_a_weight_norm_of_one_length_shows_nothing_of_the_kind():
    module = at("a", nn.utils.weight_norm(nn.Linear(4, 1), dim=None))
    module.register_parameter("latent", nn.Parameter(torch.ones(1, 4)))
    assert decay_reasons(module)["latent"].why == VECTOR


@pytest.fixture
def fsdp():
    """Yield torch's FullyShardedDataParallel, as the first of two processes that share nothing but a name."""
    fake_pg = pytest.importorskip("torch.testing._internal.distributed.fake_pg")
    from torch.distributed.fsdp import FullyShardedDataParallel

    torch.distributed.init_process_group("fake", rank=0, world_size=2, store=fake_pg.FakeStore())
    yield partial(FullyShardedDataParallel, device_id=torch.device("cpu"))
    torch.distributed.destroy_process_group()


def test_under_fsdp_with_its_original_parameters_weights_are_still_known(fsdp):
    module = nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3), nn.Linear(3, 1))
    groups, before = decay_groups(module, 0.1), list(decay_reasons(module).values())
    wrapped = fsdp(nn.Sequential(fsdp(module, use_orig_params=True)), use_orig_params=True)
    assert {p.ndim for p in wrapped.parameters()} == {1}
    assert list(decay_reasons(wrapped).values()) == before
    for group, again in zip(groups, decay_groups(wrapped, 0.1), strict=True):
        assert all(p is q for p, q in zip(group["params"], again["params"], strict=True))


def test_under_fsdp_without_them_there_are_no_groups(fsdp):
    with pytest.raises(
        ValueError, match=r"^module was flattened, many parameters into '\w+\._flat_param': make the"
    ):
        decay_groups(fsdp(nn.Sequential(nn.Linear(2, 1))), 0.1)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_a_scripted_module_is_refused():
    with pytest.raises(
        ValueError, match=r"^module was scripted, which hides its classes: make the groups before$"
    ):
        decay_groups(nn.Sequential(torch.jit.script(nn.Linear(2, 1))), 0.1)


@pytest.mark.parametrize("dim", [0, None])
def test_decaying_the_lengths_of_a_weight_norm_is_decaying_the_weight(dim):
    """So they are no gains to be left free."""
    module = nn.utils.parametrizations.weight_norm(nn.Linear(5, 3, bias=False, dtype=torch.float64), dim=dim)
    length = module.parametrizations.weight.original0
    with torch.no_grad():
        length.mul_(-1.7)
    torch.testing.assert_close(length.square().sum(), module.weight.square().sum(), rtol=1e-14, atol=0)


def test_a_free_gain_can_undo_the_decay_of_the_weight_behind_it():
    torch.manual_seed(0)
    module = nn.Sequential(nn.LayerNorm(4, bias=False), nn.Linear(4, 3)).double()
    x = torch.randn(6, 4, dtype=torch.float64)
    y = module(x)
    decayed, free = decay_groups(module, 0.1)
    penalty = l2_penalty(decayed["params"], 0.1)
    with torch.no_grad():
        module[0].weight *= 100
        module[1].weight /= 100
    assert free["params"][0] is module[0].weight
    torch.testing.assert_close(module(x), y, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(l2_penalty(decayed["params"], 0.1), penalty / 1e4, rtol=1e-12, atol=0)


def test_groups_carry_the_weight_decay_unchanged_and_zero():
    assert [group["weight_decay"] for group in decay_groups(Perceptron(), 0.2)] == [0.2, 0.0]


def test_every_trainable_parameter_is_in_exactly_one_group():
    module = network()
    held = [id(p) for group in decay_groups(module, 0.1) for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in module.parameters())


def test_frozen_parameters_are_left_out():
    module = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    module[0].requires_grad_(False)
    decayed, free = decay_groups(module, 0.1)
    assert names_in(module, decayed) == {"1.weight"}
    assert names_in(module, free) == {"1.bias"}


def test_tied_parameters_appear_once():
    module = nn.ModuleDict({"encoder": nn.Embedding(7, 3), "decoder": nn.Linear(3, 7)})
    module["decoder"].weight = module["encoder"].weight
    decayed, free = decay_groups(module, 0.1)
    assert len(decayed["params"]) == 1
    assert decayed["params"][0] is module["encoder"].weight
    assert free["params"] == [module["decoder"].bias]


def test_decays_chooses_by_name_and_parameter():
    module = network()
    decayed, free = decay_groups(module, 0.1, decays=lambda name, p: name.endswith("bias") or p.ndim == 4)
    assert names_in(module, decayed) == {
        "conv.weight",
        *(f"{part}.bias" for part in ("conv", "batch", "layer", "group", "linear")),
    }
    assert names_in(module, free) == {
        f"{part}.weight" for part in ("embedding", "batch", "layer", "group", "linear")
    }


def test_an_answer_that_is_neither_true_nor_false_is_named():
    with pytest.raises(
        TypeError, match=r"^decays: the answer for 'weight', unless None, must be True or False, got 3$"
    ):
        decay_groups(nn.Linear(2, 1), 0.1, decays=lambda name, parameter: 3)


def test_a_group_without_parameters_is_left_out():
    assert [g["weight_decay"] for g in decay_groups(nn.Linear(2, 1, bias=False), 0.3)] == [0.3]
    assert [g["weight_decay"] for g in decay_groups(nn.LayerNorm(3), 0.3)] == [0.0]


def test_groups_follow_the_order_of_the_parameters():
    module = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2), nn.Linear(2, 1))
    decayed, free = decay_groups(module, 0.1)
    assert all(held is layer.weight for held, layer in zip(decayed["params"], module, strict=True))
    assert all(held is layer.bias for held, layer in zip(free["params"], module, strict=True))


def test_training_with_the_groups_equals_half_lambda_norm_squared_in_the_loss():
    X, y = separable(20, 3, seed=1)
    decay, options = 0.3, {"lr": 0.1, "momentum": 0.9}
    grouped, explicit = Perceptron(3, dtype=torch.float64), Perceptron(3, dtype=torch.float64)
    by_groups = torch.optim.SGD(decay_groups(grouped, decay), **options)
    by_loss = torch.optim.SGD(explicit.parameters(), **options)
    for _ in range(200):
        by_groups.zero_grad()
        F.binary_cross_entropy(grouped(X), y).backward()
        by_groups.step()
        by_loss.zero_grad()
        penalty = decay / 2 * explicit.linear.weight.square().sum()
        (F.binary_cross_entropy(explicit(X), y) + penalty).backward()
        by_loss.step()
        for p, q in zip(grouped.parameters(), explicit.parameters(), strict=True):
            torch.testing.assert_close(p, q, rtol=0, atol=1e-12)
