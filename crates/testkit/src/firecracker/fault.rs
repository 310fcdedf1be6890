//! What goes wrong, where it is told to.

use anyhow::{Context as _, Result, bail};

/// A request that is not answered as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Method and path: `PUT /logger`.
    pub at: String,
    /// What happens instead.
    pub kind: Kind,
}

/// What happens instead of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It is refused.
    Refuse,
    /// It is refused by HTTP itself, in JSON that is none.
    Broken,
    /// It is answered that there are too many connections.
    Busy,
    /// It is never answered.
    Hang,
    /// Half of the answer comes, then nothing.
    Half,
    /// Half of the answer comes, then the program ends.
    Die,
    /// The connection is closed.
    Close,
    /// The answer comes byte by byte.
    Slow,
    /// What comes is no answer.
    Garbage,
    /// The answer comes in pieces, which Firecracker never does.
    Chunked,
}

impl Kind {
    /// All of them, by name.
    pub const ALL: [(&str, Self); 10] = [
        ("refuse", Self::Refuse),
        ("broken", Self::Broken),
        ("busy", Self::Busy),
        ("hang", Self::Hang),
        ("half", Self::Half),
        ("die", Self::Die),
        ("close", Self::Close),
        ("slow", Self::Slow),
        ("garbage", Self::Garbage),
        ("chunked", Self::Chunked),
    ];
}

/// What goes wrong before the first request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Launch {
    /// Nothing.
    Sound,
    /// The program ends with this code.
    Exit(u8),
    /// The socket is never there.
    Deaf,
}

impl Fault {
    /// `PUT /logger=refuse`.
    pub fn parse(text: &str) -> Result<Self> {
        let (at, name) = text.split_once('=').context("a fault wants PLACE=KIND")?;
        let Some((_, kind)) = Kind::ALL.into_iter().find(|(known, _)| *known == name) else {
            bail!("no fault is called {name:?}");
        };
        Ok(Self {
            at: at.to_owned(),
            kind,
        })
    }
}

impl Launch {
    /// `deaf`, or the code it ends with.
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "deaf" => Ok(Self::Deaf),
            code => Ok(Self::Exit(code.parse().context("an exit code")?)),
        }
    }
}
