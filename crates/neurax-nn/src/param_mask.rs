//! [`ParamMask`]: the choice of parameters that a setting is for.

use crate::path_pattern::PathPattern;
use neurax_tensor::Tensor;
use std::fmt;
use std::ops::{BitAnd, BitOr, Not};

/// A choice of parameters, by their paths or their shapes.
///
/// Functions take anything that converts to it: a pattern (`"encoder.**"`), an array of patterns,
/// of which one has to match, or a `ParamMask`. In a pattern, `*` stands for any characters but
/// dots, and `**` for any number of names. `!` inverts a mask, `&` chooses what both masks choose,
/// and `|` what one of them does.
///
/// ```
/// use neurax::prelude::*;
/// let others = !nn::ParamMask::from(["**.bias", "head.**"]);
/// assert_eq!(others.to_string(), "not (**.bias, head.**)");
/// let inner = nn::ParamMask::kernels() & !nn::ParamMask::from("head.**");
/// assert_eq!(inner.to_string(), "(rank of at least 2) and (not (head.**))");
/// ```
#[derive(Clone, Debug)]
pub struct ParamMask(MaskKind);

#[derive(Clone, Debug)]
enum MaskKind {
    AnyOf(Vec<String>),
    LeastRank(usize),
    Rank(usize),
    Not(Box<ParamMask>),
    And(Box<[ParamMask; 2]>),
    Or(Box<[ParamMask; 2]>),
}

impl ParamMask {
    /// Returns the mask of the parameters with at least two axes: kernels and embeddings, but not
    /// biases and the scales of normalizations.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let decay = optim::masked(nn::ParamMask::kernels(), optim::weight_decay(0.5));
    /// let opt = optim::chain([decay, optim::sgd(0.1)]);
    /// let (kernel, bias) = (tensor([[2.0]]), tensor([2.0]));
    /// let p = vec![kernel, bias];
    /// let (p, _) = opt.step(&p, &vec![tensor([[0.0]]), tensor([0.0])], opt.init(&p));
    /// assert!(p[0].item()? < 2.0);
    /// assert_eq!(p[1].item()?, 2.0);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn kernels() -> ParamMask {
        ParamMask(MaskKind::LeastRank(2))
    }

    /// Returns the mask of the parameters with two axes: the kernels of dense layers, and
    /// embeddings.
    pub fn matrices() -> ParamMask {
        ParamMask(MaskKind::Rank(2))
    }

    /// Returns for each parameter if it is chosen, or the message of an error: a malformed pattern,
    /// or one that matches no path.
    pub(crate) fn select(&self, paths: &[String], params: &[Tensor]) -> Result<Vec<bool>, String> {
        self.select_ranks(paths, &params.iter().map(Tensor::rank).collect::<Vec<_>>())
    }

    /// Returns what [`ParamMask::select`] does, for parameters of the given ranks.
    pub(crate) fn select_ranks(
        &self,
        paths: &[String],
        ranks: &[usize],
    ) -> Result<Vec<bool>, String> {
        match &self.0 {
            MaskKind::LeastRank(rank) => Ok(ranks.iter().map(|r| r >= rank).collect()),
            MaskKind::Rank(rank) => Ok(ranks.iter().map(|r| r == rank).collect()),
            MaskKind::And(masks) => combined(masks, paths, ranks, |a, b| a && b),
            MaskKind::Or(masks) => combined(masks, paths, ranks, |a, b| a || b),
            MaskKind::Not(mask) => {
                mask.select_ranks(paths, ranks).map(|chosen| chosen.iter().map(|c| !c).collect())
            }
            MaskKind::AnyOf(patterns) => {
                let mut chosen = vec![false; paths.len()];
                for pattern in patterns {
                    let matches = PathPattern::select(pattern, paths).map_err(|e| {
                        format!("{} (frozen parameters have no optimizer)", e.message())
                    })?;
                    chosen.iter_mut().zip(matches).for_each(|(c, m)| *c |= m);
                }
                Ok(chosen)
            }
        }
    }
}

/// Returns what two masks choose together.
fn combined(
    masks: &[ParamMask; 2],
    paths: &[String],
    ranks: &[usize],
    both: fn(bool, bool) -> bool,
) -> Result<Vec<bool>, String> {
    let [a, b] = masks;
    let pairs = a.select_ranks(paths, ranks)?.into_iter().zip(b.select_ranks(paths, ranks)?);
    Ok(pairs.map(|(a, b)| both(a, b)).collect())
}

impl fmt::Display for ParamMask {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match &self.0 {
            MaskKind::AnyOf(patterns) => f.write_str(&patterns.join(", ")),
            MaskKind::LeastRank(rank) => write!(f, "rank of at least {rank}"),
            MaskKind::Rank(rank) => write!(f, "rank of {rank}"),
            MaskKind::Not(mask) => write!(f, "not ({mask})"),
            MaskKind::And(masks) => write!(f, "({}) and ({})", masks[0], masks[1]),
            MaskKind::Or(masks) => write!(f, "({}) or ({})", masks[0], masks[1]),
        }
    }
}

impl Not for ParamMask {
    type Output = ParamMask;

    fn not(self) -> ParamMask {
        ParamMask(MaskKind::Not(Box::new(self)))
    }
}

impl BitAnd for ParamMask {
    type Output = ParamMask;

    fn bitand(self, other: ParamMask) -> ParamMask {
        ParamMask(MaskKind::And(Box::new([self, other])))
    }
}

impl BitOr for ParamMask {
    type Output = ParamMask;

    fn bitor(self, other: ParamMask) -> ParamMask {
        ParamMask(MaskKind::Or(Box::new([self, other])))
    }
}

impl From<&str> for ParamMask {
    fn from(pattern: &str) -> ParamMask {
        ParamMask(MaskKind::AnyOf(vec![pattern.into()]))
    }
}

impl From<&String> for ParamMask {
    fn from(pattern: &String) -> ParamMask {
        ParamMask::from(pattern.as_str())
    }
}

impl<S: Into<String>, const N: usize> From<[S; N]> for ParamMask {
    fn from(patterns: [S; N]) -> ParamMask {
        ParamMask(MaskKind::AnyOf(patterns.map(Into::into).into()))
    }
}

impl<S: Into<String>> From<Vec<S>> for ParamMask {
    fn from(patterns: Vec<S>) -> ParamMask {
        ParamMask(MaskKind::AnyOf(patterns.into_iter().map(Into::into).collect()))
    }
}
