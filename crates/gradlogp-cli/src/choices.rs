//! Options whose values are choices of the library: their names come from there; what each is good for is said here.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use gradlogp::data::{GapRule, Marginals, Standardization};
use gradlogp::diagnose::Shape;
use gradlogp::diffusion::{NoiseWeight, TimeDistribution};
use gradlogp::draw::{Sampler, StepSchedule};
use gradlogp::fit::Purpose;
use gradlogp::fitted::AnomalyKind;
use gradlogp::model::Conditioning;
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
                "log(1 + e^x): smooth with bounded derivatives, which suits second derivatives",
            ),
            (Activation::Tanh, "Hyperbolic tangent"),
            (Activation::Silu, "x / (1 + e^-x): learns scores at all noise levels faster"),
            (Activation::Gelu, "x times the normal distribution function at x"),
            (Activation::Sin, "Sine"),
            (Activation::Relu, "max(0, x), for --model score only"),
        ],
    )
}

pub(crate) fn slice_distribution() -> impl TypedValueParser<Value = SliceDistribution> {
    one_of(
        SliceDistribution::name,
        &[
            (
                SliceDistribution::Rademacher,
                "Independent signs: the least variance of the distributions with independent components",
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
            (Schedule::Cosine, "Decays to a hundredth of the rate, which averages out noise"),
            (Schedule::Constant, "Stays constant"),
        ],
    )
}

pub(crate) fn marginals() -> impl TypedValueParser<Value = Marginals> {
    one_of(
        Marginals::name,
        &[
            (Marginals::Keep, "Columns as they are"),
            (Marginals::Normal, "Each mapped smoothly by its quantiles"),
            (
                Marginals::Auto,
                "As normal, if the columns together are then nearer to a Gaussian, by the validation rows; columns that \
                 follow closely from others are better kept",
            ),
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
            (GapRule::Whole, "1, for integer columns such as pixels, constant ones included"),
        ],
    )
}

pub(crate) fn purpose() -> impl TypedValueParser<Value = Purpose> {
    one_of(
        Purpose::name,
        &[
            (
                Purpose::Anomaly,
                "score --anomaly: the densities of the data with noise of 1/2 to 4 scales, in seconds. \
                 Short for --noise ve --sigma-min 0.5 --sigma-max 4 --model potential --standardize robust \
                 --hidden 64,64 --activation softplus --steps 1500",
            ),
            (
                Purpose::Score,
                "the score and the log density of the data themselves, by networks that add to a mixture of \
                 Gaussians. Short for --standardize whiten --dequantize --base mixture, with --weight-decay, \
                 --steps, --evaluate-every, --patience and --members by the size of the table",
            ),
            (
                Purpose::Density,
                "loglik and sample: the best log likelihood of new rows, by two networks of all noise \
                 levels and a Gaussian mixture. Short for --noise vp --standardize whiten --dequantize \
                 --marginals auto, with --weight-decay, --noise-weight, --times, --noise-floor, --steps, --evaluate-every, \
                 --patience and --members by the size of the table",
            ),
            (Purpose::Sampling, "sample: as density"),
            (
                Purpose::Imputation,
                "impute: as density, with columns standardized, not whitened, and without the Gaussian mixture, which imputation does not use",
            ),
        ],
    )
}

pub(crate) fn noise_weight() -> impl TypedValueParser<Value = NoiseWeight> {
    one_of(
        NoiseWeight::name,
        &[
            (
                NoiseWeight::Balanced,
                "The network's own error counts alike over the logarithm of the noise, and less where that \
                 exceeds the signal",
            ),
            (NoiseWeight::Noise, "The variance of the noise"),
            (NoiseWeight::Likelihood, "g^2, which bounds the likelihood"),
            (NoiseWeight::None, "All times alike"),
        ],
    )
}

pub(crate) fn times() -> impl TypedValueParser<Value = TimeDistribution> {
    one_of(
        TimeDistribution::name,
        &[
            (
                TimeDistribution::LogNoise,
                "All noise levels below the signal alike, and fewer above it",
            ),
            (TimeDistribution::Uniform, "All times alike"),
            (
                TimeDistribution::Importance,
                "More where the weight over the variance of the noise is large",
            ),
        ],
    )
}

pub(crate) fn conditioning() -> impl TypedValueParser<Value = Conditioning> {
    one_of(
        Conditioning::name,
        &[
            (Conditioning::Film, "A factor and a shift at every layer"),
            (Conditioning::Concat, "Beside the columns, by the first layer"),
        ],
    )
}

pub(crate) fn sampler() -> impl TypedValueParser<Value = Sampler> {
    one_of(
        Sampler::name,
        &[
            (
                Sampler::Auto,
                "mala for potentials, ula for score fields, heun for models fitted with --noise",
            ),
            (
                Sampler::Ula,
                "Langevin steps without correction: biased towards too wide at any step size",
            ),
            (
                Sampler::Mala,
                "Langevin steps corrected by the density: exact asymptotically; potentials",
            ),
            (
                Sampler::Hmc,
                "Hamiltonian Monte Carlo, exact too: adapts the scale of each column and makes long moves, \
                 which suits many or correlated columns; potentials",
            ),
            (Sampler::Em, "From noise to data by Euler-Maruyama steps"),
            (Sampler::Heun, "From noise to data by stochastic Heun steps, of weak order 2"),
            (Sampler::Pc, "em with Langevin corrections after each step"),
            (Sampler::Ode, "From noise to data by the probability flow, with adaptive steps"),
            (Sampler::Ddim, "The probability flow by its exponential integrator"),
            (
                Sampler::Annealed,
                "Langevin steps at falling noise levels, which end in the distribution that the model has \
                 at the least noise; variances come out 1 to 2% too large with the default steps, and more \
                 with fewer --steps or --corrections, or, by some 10%, where columns are nearly dependent",
            ),
        ],
    )
}

pub(crate) fn step_schedule() -> impl TypedValueParser<Value = StepSchedule> {
    one_of(
        StepSchedule::name,
        &[
            (
                StepSchedule::Karras,
                "Spaced in noise level, closer together where there is little noise",
            ),
            (StepSchedule::Geometric, "Spaced in noise level, in equal ratios"),
            (StepSchedule::Uniform, "Spaced in time, evenly"),
            (StepSchedule::Quadratic, "Spaced in time, closer together near the data"),
        ],
    )
}

pub(crate) fn anomaly() -> impl TypedValueParser<Value = AnomalyKind> {
    one_of(
        AnomalyKind::name,
        &[
            (
                AnomalyKind::Auto,
                "scales for models of fit --for anomaly (and other potentials with --noise ve or ncsn), \
                 density for other potentials, path for score fields",
            ),
            (
                AnomalyKind::Scales,
                "Mean over noise levels of noise^2 times -log p of the data with that noise",
            ),
            (AnomalyKind::Density, "-log p up to a constant"),
            (
                AnomalyKind::Path,
                "The same from the score alone, along the line from the mean of the training rows",
            ),
            (AnomalyKind::Norm, "Length of the score in standard deviations"),
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
        check(slice_distribution(), SliceDistribution::ALL.len());
        check(schedule(), 2);
        check(standardization(), 5);
        check(marginals(), 3);
        check(gap_rule(), 3);
        check(purpose(), Purpose::ALL.len());
        check(noise_weight(), 4);
        check(times(), 3);
        check(conditioning(), 2);
        check(sampler(), 10);
        check(step_schedule(), 4);
        assert_eq!(offered(anomaly()).len(), 5);
        assert!(offered(shape()).iter().map(|(_, shape)| *shape).eq(Shape::ALL));
    }
}
