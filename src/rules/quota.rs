//! Quota: which of a rule's targets fit. Pure.

/// A target of a rule, in the rule's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its units; `None` if there is no such target.
    pub units: Option<i32>,
}

/// Whether a target fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It does.
    Within,
    /// The targets before it leave no room for it.
    Over,
    /// There is no such target; it takes no room.
    Missing,
}

/// Which targets fit into `limit` units, and how many are used. A target that does not fit leaves its room to the next.
#[must_use]
pub fn assign(claims: &[Claim<'_>], limit: i32) -> (Vec<Fit>, i32) {
    let mut used = 0_i32;
    let fits = claims
        .iter()
        .map(|claim| match claim.units {
            None => Fit::Missing,
            Some(units) if used.saturating_add(units) <= limit => {
                used += units;
                Fit::Within
            }
            Some(_) => Fit::Over,
        })
        .collect();
    (fits, used)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_take_room_in_order_and_missing_ones_take_none() {
        use Fit::{Missing, Over, Within};
        type Row = (&'static [Option<i32>], i32, &'static [Fit], i32);
        let table: [Row; 5] = [
            (&[Some(1), Some(1)], 5, &[Within, Within], 2),
            (&[Some(1), Some(1), Some(1)], 2, &[Within, Within, Over], 2),
            (&[Some(4), Some(3), Some(1)], 5, &[Within, Over, Within], 5),
            (&[None, Some(1)], 1, &[Missing, Within], 1),
            (&[Some(i32::MAX), Some(1)], 5, &[Over, Within], 1),
        ];
        for (units, limit, fits, used) in table {
            let claims: Vec<_> = units.iter().map(|&units| Claim { name: "t", units }).collect();
            assert_eq!(assign(&claims, limit), (fits.to_vec(), used), "{units:?} in {limit}");
        }
    }
}
