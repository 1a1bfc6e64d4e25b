//! Birds, and how they fly: always at the same speed, and each turns a little towards where those around it fly.
//!
//! Properties, tested below: no bird is lost or made; whoever stays is inside the cell, whoever leaves enters a neighbour
//! inside it.

use serde::{Deserialize, Serialize};

/// How far a bird flies in a tick, as a part of its cell's width.
const SPEED: f32 = 0.01;
/// How much of the way towards the common direction a bird turns in a tick.
const TURN: f32 = 0.05;

/// A bird: where in its cell it is, from 0 to 1 both ways, and where it will be a tick later.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bird {
    at: [f32; 2],
    step: [f32; 2],
}

/// A bird that has left its cell, and for which neighbour: so many columns and rows further on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Leaver {
    /// The bird, where it is in the cell that it flies into.
    pub bird: Bird,
    /// -1, 0 or 1.
    pub columns: i32,
    /// -1, 0 or 1.
    pub rows: i32,
}

impl Bird {
    /// A bird somewhere in its cell; `number` decides where and its direction.
    pub fn new(number: u32) -> Self {
        // Multiples of irrational numbers are spread evenly, without a generator of random numbers.
        let spread = |by: f64| (f64::from(number) * by).fract() as f32;
        let (sin, cos) = (spread(0.569_840_290_998_053_3) * std::f32::consts::TAU).sin_cos();
        Self {
            at: [spread(0.754_877_666_246_693), spread(0.618_033_988_749_895)],
            step: [cos * SPEED, sin * SPEED],
        }
    }

    fn fly(&mut self, common: [f32; 2]) {
        let turned = [0, 1].map(|axis| self.step[axis] + (common[axis] - self.step[axis]) * TURN);
        let length = turned[0].hypot(turned[1]);
        // Two that fly head on have no common direction, and go straight on.
        if length > f32::EPSILON {
            self.step = turned.map(|part| part / length * SPEED);
        }
        self.at = [0, 1].map(|axis| self.at[axis] + self.step[axis]);
    }

    fn is_inside(&self) -> bool {
        self.at.iter().all(|at| (0.0..1.0).contains(at))
    }

    fn leave(mut self) -> Leaver {
        let [columns, rows] = self.at.map(|at| at.floor() as i32);
        // A hair below an edge would be rounded up onto it.
        self.at = self.at.map(|at| (at - at.floor()).min(1.0 - f32::EPSILON));
        Leaver { bird: self, columns, rows }
    }
}

/// One tick of a cell: all its birds fly on, and those that are outside then are taken out.
pub fn fly(birds: &mut Vec<Bird>) -> Vec<Leaver> {
    let sum = |axis: usize| birds.iter().map(|bird| bird.step[axis]).sum::<f32>() / birds.len().max(1) as f32;
    let common = [sum(0), sum(1)];
    birds.iter_mut().for_each(|bird| bird.fly(common));
    birds.extract_if(.., |bird| !bird.is_inside()).map(Bird::leave).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn direction(birds: &[Bird]) -> f32 {
        let sum = |axis: usize| birds.iter().map(|bird| bird.step[axis] / SPEED).sum::<f32>();
        sum(0).hypot(sum(1)) / birds.len() as f32
    }

    proptest! {
        #[test]
        fn nobody_is_lost_and_everybody_is_inside_of_a_cell(first in any::<u16>(), count in 0u32..20) {
            let mut birds: Vec<_> = (0..count).map(|n| Bird::new(u32::from(first) + n)).collect();
            for _ in 0..200 {
                let leavers = fly(&mut birds);
                prop_assert!(leavers.iter().all(|l| l.columns.abs() <= 1 && l.rows.abs() <= 1));
                prop_assert!(leavers.iter().all(|l| (l.columns, l.rows) != (0, 0)));
                // The neighbour is this cell again.
                birds.extend(leavers.iter().map(|leaver| leaver.bird));
                prop_assert!(birds.iter().all(Bird::is_inside), "{birds:?}");
                prop_assert_eq!(birds.len(), count as usize);
            }
        }
    }

    #[test]
    fn who_flies_together_ends_up_flying_the_same_way() {
        let mut birds: Vec<_> = (0..5).map(Bird::new).collect();
        let before = direction(&birds);
        for _ in 0..300 {
            let leavers = fly(&mut birds);
            birds.extend(leavers.iter().map(|leaver| leaver.bird));
        }
        let after = direction(&birds);
        assert!(before < 0.9 && after > 0.99, "{before} {after}");
    }
}
