//! How many children we may have: a rule of the server's on our own upload speed. SOULSEEK.md 2.6.

/// Children in all, whatever the server allows: each of them gets every search of the network.
const CHILDREN: usize = 10;

/// What the server told that the number depends on.
#[derive(Debug, Default)]
pub(super) struct Allowance {
    /// Message 83, in KiB per second.
    pub(super) min_speed: Option<u32>,
    /// Message 84.
    pub(super) ratio: Option<u32>,
    /// Our average upload speed as the server keeps it, in bytes per second.
    pub(super) own_speed: Option<u32>,
}

impl Allowance {
    /// How many children we may have. None before everything is known.
    pub(super) fn children(&self) -> usize {
        let (Some(min_speed), Some(ratio), Some(own_speed)) =
            (self.min_speed, self.ratio, self.own_speed)
        else {
            return 0;
        };
        let own_speed = u64::from(own_speed);
        if own_speed < u64::from(min_speed) * 1_024 {
            return 0;
        }
        // A ratio of nothing stands for no limit but ours.
        let children = (own_speed * 10).checked_div(u64::from(ratio) * 1_024);
        children
            .map_or(CHILDREN, |children| usize::try_from(children).unwrap_or(CHILDREN))
            .min(CHILDREN)
    }

    /// Whether the server has told its part of the rule.
    pub(super) fn rule_is_known(&self) -> bool {
        self.min_speed.is_some() && self.ratio.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn children(min_speed: u32, ratio: u32, own_speed: u32) -> usize {
        let (min_speed, ratio) = (Some(min_speed), Some(ratio));
        Allowance { min_speed, ratio, own_speed: Some(own_speed) }.children()
    }

    #[test]
    fn the_speed_rule_counts_children() {
        assert_eq!(children(1, 50, 1_023), 0, "below the least speed");
        assert_eq!(children(1, 50, 1_024), 0, "fast enough, and for nobody");
        assert_eq!(children(1, 50, 5 * 1_024 - 1), 0);
        assert_eq!(children(1, 50, 5 * 1_024), 1);
        assert_eq!(children(1, 50, 10 * 1_024), 2);
        assert_eq!(children(100, 50, 99 * 1_024), 0);
        assert_eq!(children(1, 50, u32::MAX), CHILDREN);
        assert_eq!(children(1, 0, 5_000), CHILDREN, "no division by nothing");
        assert_eq!(children(u32::MAX, u32::MAX, u32::MAX), 0);
        assert_eq!(Allowance { own_speed: Some(u32::MAX), ..Allowance::default() }.children(), 0);
    }
}
