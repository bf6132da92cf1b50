"""`gluon-attn convert`: a file of weights under the names of another library, equal to the bit."""

from __future__ import annotations

from gluon_attn.errors import GluonAttnError

FORMATS = "gluon|timm|torchvision|imgclsmob|openaff|abn"


def add_arguments(parser):
    parser.add_argument("file", metavar="FILE", help="weights of any known source: .params, .safetensors, .pth")
    parser.add_argument("--to", required=True, metavar=FORMATS, help="whose names the new file has")
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="ends in .params, .safetensors or .pth")
    parser.add_argument("--model", metavar="NAME", help="whose weights they are, where file and card do not say")
    parser.add_argument("--arch", default="", metavar="K=V,...", help="keywords of the network, as in training")
    parser.add_argument("--variant", metavar="TAG", help="the architecture that FILE was trained with")


def run(args):
    from gluon_attn import weights, zoo
    from gluon_attn.recipe.recipe import Recipe
    from gluon_attn.weights.load import fitting

    model, options = _known(args)
    options.update(Recipe.of({"arch": args.arch}).arch)
    if args.variant:
        options["variant"] = args.variant
    if "classes" not in options:
        options["classes"] = weights.classes_of(zoo.get_model(model, **options), args.file)
    net = zoo.get_model(model, **options)
    told = fitting(net, args.file, options)
    if told and "variant" not in options:
        net = zoo.get_model(model, **options, **told)
    weights.load_weights(net, args.file)
    weights.save_weights(net, args.output, format=args.to)
    print(f"{args.output}: {model}, under the names of {args.to}")


def _known(args):
    """(name of the zoo, its arguments): from --model, the hash of a published file, or the card beside it."""
    from gluon_attn import weights, zoo
    from gluon_attn.weights.card import Card

    entry, card = weights.identify(args.file), Card.beside(args.file)
    model = args.model and zoo.find(args.model).name
    if entry is not None and model in (None, entry.model):
        return entry.model, {"classes": entry.classes, "variant": entry.tag}
    if card is not None and model in (None, card.model.lower()):
        return card.model, {"classes": len(card.classes), **card.arch}
    if model is None:
        raise GluonAttnError(f"Of which network are the weights in {args.file}? Give --model NAME (`gluon-attn list`).")
    return model, {}
