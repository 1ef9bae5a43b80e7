"""A pytest plugin (`-p tests.mutation.quick`): few examples, the same each time, so that a kill is a fact, not luck."""

from hypothesis import Phase, settings

settings.register_profile(
    "mutation", deadline=None, derandomize=True, database=None, max_examples=25,
    phases=(Phase.explicit, Phase.generate),  # nobody reads the smallest example of a mutant
)  # fmt: skip
