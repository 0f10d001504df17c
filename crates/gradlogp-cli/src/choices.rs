//! Options whose values are choices of the library: their names come from there; what each is good for is said here.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use gradlogp::data::{GapRule, Standardization};
use gradlogp::diagnose::Shape;
use gradlogp::numeric::Activation;
use gradlogp::slice::SliceDistribution;
use gradlogp::train::Schedule;

/// Reads one of `values` by its name.
fn one_of<T: Copy + Send + Sync>(
    name: fn(T) -> &'static str,
    values: &'static [(T, &'static str)],
) -> impl TypedValueParser<Value = T> {
    let known = values.iter().map(|(value, help)| PossibleValue::new(name(*value)).help(*help));
    PossibleValuesParser::new(known).try_map(move |word| {
        let found = values.iter().map(|(value, _)| *value).find(|value| name(*value) == word);
        found.ok_or("is none of them")
    })
}

pub(crate) fn activation() -> impl TypedValueParser<Value = Activation> {
    one_of(
        Activation::name,
        &[
            (
                Activation::Softplus,
                "log(1 + e^x): smooth with bounded slopes, which second derivatives like",
            ),
            (Activation::Tanh, "Hyperbolic tangent"),
            (Activation::Silu, "x / (1 + e^-x): learns scores at all noise levels faster"),
            (Activation::Gelu, "x times the normal distribution function at x"),
            (Activation::Sin, "Sine"),
            (Activation::Relu, "max(0, x), for --model score only"),
        ],
    )
}

pub(crate) fn slice_law() -> impl TypedValueParser<Value = SliceDistribution> {
    one_of(
        SliceDistribution::name,
        &[
            (
                SliceDistribution::Rademacher,
                "Independent signs: the least variance of the laws with independent components",
            ),
            (SliceDistribution::Gaussian, "Standard normal"),
            (SliceDistribution::Sphere, "Uniform on the sphere of radius sqrt(columns)"),
            (
                SliceDistribution::Orthogonal,
                "Columns of a random orthogonal matrix; exact with as many slices as columns",
            ),
            (
                SliceDistribution::Coordinate,
                "Unit vectors without replacement; exact with as many slices as columns",
            ),
        ],
    )
}

pub(crate) fn schedule() -> impl TypedValueParser<Value = Schedule> {
    one_of(
        Schedule::name,
        &[
            (Schedule::Cosine, "Ends at a hundredth of the rate, which averages noise out"),
            (Schedule::Constant, "Stays where it is"),
        ],
    )
}

pub(crate) fn standardization() -> impl TypedValueParser<Value = Standardization> {
    one_of(
        Standardization::name,
        &[
            (Standardization::Standardize, "By means and standard deviations; fits most tables"),
            (
                Standardization::Robust,
                "By medians and winsorised standard deviations, for outliers or heavy tails",
            ),
            (Standardization::Whiten, "By the covariance matrix; suits strong correlations"),
            (
                Standardization::Common,
                "Centres each column and divides all by one number, for columns of one kind, such as pixels",
            ),
            (Standardization::None, "Keeps your units"),
        ],
    )
}

pub(crate) fn shape() -> impl TypedValueParser<Value = Shape> {
    one_of(
        Shape::word,
        &[
            (Shape::Square, "z^2"),
            (Shape::Cube, "z^3"),
            (Shape::Tanh, "tanh z"),
            (Shape::Sine, "sin z"),
            (Shape::Cosine, "cos z"),
        ],
    )
}

pub(crate) fn gap_rule() -> impl TypedValueParser<Value = GapRule> {
    one_of(
        GapRule::name,
        &[
            (GapRule::Gap, "The step of a column's tied values"),
            (
                GapRule::MedianGap,
                "Twice the median gap between distinct values, as in the literature",
            ),
            (
                GapRule::Whole,
                "1, for all columns of whole numbers, such as pixels, constant ones too",
            ),
        ],
    )
}

#[cfg(test)]
mod tests {
    use clap::builder::TypedValueParser;
    use serde::Serialize;

    use super::*;

    /// What an option offers, with the value that each word gives.
    fn offered<T: Clone + Send + Sync + 'static>(
        parser: impl TypedValueParser<Value = T>,
    ) -> Vec<(String, T)> {
        let command = clap::Command::new("x");
        let words: Vec<String> =
            parser.possible_values().unwrap().map(|value| value.get_name().to_string()).collect();
        let read = |word: &String| parser.parse_ref(&command, None, word.as_ref()).unwrap();
        words.into_iter().map(|word| (word.clone(), read(&word))).collect()
    }

    /// Every word is read by the library too, and is that of its files, but for the mark between two words.
    fn check<T>(parser: impl TypedValueParser<Value = T>, count: usize)
    where
        T: Copy
            + Send
            + Sync
            + Serialize
            + std::str::FromStr
            + PartialEq
            + std::fmt::Debug
            + 'static,
        T::Err: std::fmt::Debug,
    {
        let offered = offered(parser);
        assert_eq!(offered.len(), count);
        for (word, value) in offered {
            assert_eq!(word.parse::<T>().unwrap(), value);
            let stored = serde_json::to_value(value).unwrap();
            assert_eq!(stored.as_str().unwrap().replace('_', "-"), word);
        }
    }

    #[test]
    fn words_of_options_are_those_of_the_library() {
        check(activation(), 6);
        check(slice_law(), SliceDistribution::ALL.len());
        check(schedule(), 2);
        check(standardization(), 5);
        check(gap_rule(), 3);
        assert!(offered(shape()).iter().map(|(_, shape)| *shape).eq(Shape::ALL));
    }
}
