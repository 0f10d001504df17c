//! One spelling of every choice: its name, `Display` and `FromStr` of an enum from one list.

use std::fmt;

/// A word that names none of the values of a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownName {
    /// The word.
    pub given: String,
    /// Those that are known.
    pub known: &'static [&'static str],
}

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\" is none of {}", self.given, self.known.join(", "))
    }
}

impl std::error::Error for UnknownName {}

/// Gives an enum without fields `name`, `Display` and `FromStr` by a list of its variants and their names, each with
/// other words that are read as well.
///
/// ```
/// #[derive(Debug, Clone, Copy, PartialEq)]
/// enum Side { Left, Right }
/// gradlogp_numeric::names!(Side { Left => "left", Right => "right" | "r" });
/// assert_eq!(Side::Left.to_string(), "left");
/// assert_eq!(("right".parse(), "r".parse()), (Ok(Side::Right), Ok(Side::Right)));
/// assert_eq!("up".parse::<Side>().unwrap_err().to_string(), "\"up\" is none of left, right");
/// ```
#[macro_export]
macro_rules! names {
    ($type:ident { $($variant:ident => $name:literal $(| $alias:literal)*),+ $(,)? }) => {
        impl $type {
            /// Its name, as it is written in files and read by `FromStr`.
            pub fn name(self) -> &'static str {
                match self { $($type::$variant => $name),+ }
            }
        }

        impl ::std::fmt::Display for $type {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.pad(self.name())
            }
        }

        impl ::std::str::FromStr for $type {
            type Err = $crate::UnknownName;

            fn from_str(name: &str) -> ::std::result::Result<Self, Self::Err> {
                match name {
                    $($name $(| $alias)* => Ok($type::$variant),)+
                    _ => Err($crate::UnknownName { given: name.to_string(), known: &[$($name),+] }),
                }
            }
        }
    };
}
