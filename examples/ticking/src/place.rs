//! Where a cell is. Cells fill a square whose opposite edges meet, so each has four neighbours.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A cell's place, and the key of its actor: `COLUMN.ROW/SIDE`, such as `17.4/100`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// From 0 on.
    pub column: u32,
    /// From 0 on.
    pub row: u32,
    /// How many columns and rows there are.
    pub side: u32,
}

/// A key that is no place.
#[derive(Debug, Error)]
#[error("{0:?} is no place; write COLUMN.ROW/SIDE, for example 17.4/100")]
pub struct NoPlace(String);

impl Place {
    /// Every place of a square.
    pub fn all(side: u32) -> impl Iterator<Item = Self> {
        (0..side).flat_map(move |row| (0..side).map(move |column| Self { column, row, side }))
    }

    /// The place so many columns and rows further on.
    pub fn beside(self, columns: i32, rows: i32) -> Self {
        let on = |at: u32, by: i32| {
            let on = (i64::from(at) + i64::from(by)).rem_euclid(i64::from(self.side));
            u32::try_from(on).expect("a remainder is smaller than the side")
        };
        Self { column: on(self.column, columns), row: on(self.row, rows), side: self.side }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}/{}", self.column, self.row, self.side)
    }
}

impl FromStr for Place {
    type Err = NoPlace;
    fn from_str(key: &str) -> Result<Self, NoPlace> {
        let place = || {
            let (at, side) = key.split_once('/')?;
            let (column, row) = at.split_once('.')?;
            let place =
                Self { column: column.parse().ok()?, row: row.parse().ok()?, side: side.parse().ok()? };
            (place.column.max(place.row) < place.side).then_some(place)
        };
        place().ok_or_else(|| NoPlace(key.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opposite_edges_meet() {
        let corner: Place = "0.9/10".parse().unwrap();
        assert_eq!(corner.beside(-1, 1).to_string(), "9.0/10");
        assert_eq!(corner.beside(1, 0).to_string(), "1.9/10");
        assert_eq!(Place::all(10).count(), 100);
    }

    #[test]
    fn a_key_that_is_no_place_is_refused() {
        for key in ["", "1/10", "1.2", "1.10/10", "-1.0/10", "0.0/0"] {
            assert!(key.parse::<Place>().is_err(), "{key}");
        }
    }
}
