//! Plays a score into samples: wavetables, envelopes, noise. The notes come from
//! [`super::score`], the files are made in [`super::encode`].
//!
//! Only additions, multiplications and square roots of `f32` and `f64` are used, which IEEE 754
//! fixes to the last bit; `sin` and `powf` it does not, so the tables come from a rotation.

use super::score::{Dice, Note, Part, Score, write_score};
use super::{CHANNELS, Pcm, SAMPLE_RATE_HZ};

/// Entries in one cycle of a wavetable, as a power of two.
const TABLE_BITS: u32 = 11;
const TABLE_LEN: usize = 1 << TABLE_BITS;

/// Cosine and sine of one table step, a full turn divided by 2048.
const STEP_COS: f64 = 0.999_995_293_809_576_2;
const STEP_SIN: f64 = 0.003_067_956_762_965_976_4;

/// Loudest sample of a piece; the rest is room for the encoders' overshoot.
const PEAK: f32 = 26_000.0;

/// Frames over which a piece fades in and out.
const FADE_FRAMES: usize = 4_410;

/// Composes `seconds` of stereo music at 44.1 kHz.
///
/// Equal seeds give equal samples on every machine, and a longer piece of one seed begins with
/// the same notes. Different seeds give pieces that a Chromaprint tells apart.
#[must_use]
pub fn compose(seed: u64, seconds: u32) -> Pcm {
    let frames = seconds as usize * SAMPLE_RATE_HZ as usize;
    let score = write_score(seed, frames);
    let mut mix = Mix { left: vec![0.0; frames], right: vec![0.0; frames] };
    let tables = score.harmonics.map(|strengths| wavetable(&strengths));
    let noise = noise(&score);
    for note in &score.notes {
        match note.part {
            Part::Bass => mix.tone(note, &tables[0], Envelope::new(300, 0.999_96, 1_500)),
            Part::Pad => mix.tone(note, &tables[1], Envelope::new(6_000, 1.0, 6_000)),
            Part::Arpeggio => mix.tone(note, &tables[2], Envelope::new(100, 0.999_85, 2_000)),
            Part::Melody => mix.tone(note, &tables[3], Envelope::new(600, 0.999_97, 3_000)),
            Part::Kick => mix.kick(note, &tables[0]),
            Part::Hat => mix.hat(note, &noise),
        }
    }
    Pcm { sample_rate: SAMPLE_RATE_HZ, channels: CHANNELS, samples: mix.into_samples() }
}

/// How loud a note is over its time: up in a straight line, then a decay, then down to nothing.
struct Envelope {
    attack: usize,
    /// Factor for each frame after the attack.
    decay: f32,
    release: usize,
}

impl Envelope {
    fn new(attack: usize, decay: f32, release: usize) -> Self {
        Self { attack, decay, release }
    }
}

struct Mix {
    left: Vec<f32>,
    right: Vec<f32>,
}

impl Mix {
    fn tone(&mut self, note: &Note, table: &[f32; TABLE_LEN], envelope: Envelope) {
        let turn = phase_step(note.hz);
        let (left_gain, right_gain) = pan(note);
        let total = note.frames + envelope.release;
        let attack = envelope.attack.min(note.frames);
        let rise = 1.0 / attack as f32;
        let fall = 1.0 / envelope.release as f32;
        let mut phase = 0u32;
        let mut level = 0.0f32;
        for (at, (left, right)) in self.window(note.start, total).enumerate() {
            if at < attack {
                level += rise;
            } else {
                level *= envelope.decay;
            }
            let left_over = if at < note.frames { 1.0 } else { (total - at) as f32 * fall };
            let sample = table[(phase >> (32 - TABLE_BITS)) as usize] * level * left_over;
            *left += sample * left_gain;
            *right += sample * right_gain;
            phase = phase.wrapping_add(turn);
        }
    }

    fn kick(&mut self, note: &Note, table: &[f32; TABLE_LEN]) {
        let floor = phase_step(note.hz);
        let (left_gain, right_gain) = pan(note);
        let mut turn = floor * 4;
        let mut phase = 0u32;
        let mut level = note.gain.min(1.0);
        for (left, right) in self.window(note.start, 7_000) {
            let sample = table[(phase >> (32 - TABLE_BITS)) as usize] * level;
            *left += sample * left_gain;
            *right += sample * right_gain;
            phase = phase.wrapping_add(turn);
            turn = floor + (turn - floor) / 1_024 * 1_023;
            level *= 0.999_4;
        }
    }

    fn hat(&mut self, note: &Note, noise: &[f32]) {
        let (left_gain, right_gain) = pan(note);
        let mut level = 1.0;
        // Two bursts never start at the same place of the noise, or they would be one sample.
        let from = note.start % (noise.len() / 2);
        for ((left, right), noise) in self.window(note.start, 2_200).zip(&noise[from..]) {
            *left += noise * level * left_gain;
            *right += noise * level * right_gain;
            level *= 0.998;
        }
    }

    /// The frames of a note, cut off where the piece ends.
    fn window(
        &mut self,
        start: usize,
        frames: usize,
    ) -> impl Iterator<Item = (&mut f32, &mut f32)> {
        let end = (start + frames).min(self.left.len());
        self.left[start..end].iter_mut().zip(&mut self.right[start..end])
    }

    fn into_samples(self) -> Vec<i16> {
        let frames = self.left.len();
        let loudest =
            self.left.iter().chain(&self.right).fold(0.0f32, |peak, sample| peak.max(sample.abs()));
        let scale = if loudest > 0.0 { PEAK / loudest } else { 0.0 };
        let mut samples = Vec::with_capacity(frames * CHANNELS as usize);
        for (at, (left, right)) in self.left.iter().zip(&self.right).enumerate() {
            let edge = at.min(frames - 1 - at).min(FADE_FRAMES);
            let gain = scale * edge as f32 / FADE_FRAMES as f32;
            samples.push((left * gain).round() as i16);
            samples.push((right * gain).round() as i16);
        }
        samples
    }
}

/// One cycle of a sine with its harmonics, kept within -1.0 to 1.0.
fn wavetable(strengths: &[f32; 8]) -> [f32; TABLE_LEN] {
    let mut sine = [0.0f32; TABLE_LEN];
    let (mut cos, mut sin) = (1.0f64, 0.0f64);
    for value in &mut sine {
        *value = sin as f32;
        (cos, sin) = (cos * STEP_COS - sin * STEP_SIN, sin * STEP_COS + cos * STEP_SIN);
    }
    let mut table = [0.0f32; TABLE_LEN];
    let total: f32 = strengths.iter().sum();
    for (at, value) in table.iter_mut().enumerate() {
        for (order, strength) in strengths.iter().enumerate() {
            *value += sine[at * (order + 1) % TABLE_LEN] * strength / total;
        }
    }
    table
}

/// A second of noise with its lows taken out, as a cymbal has none.
fn noise(score: &Score) -> Vec<f32> {
    let mut dice = Dice::new(score.noise_seed);
    let mut last = 0.0f32;
    let mut white = || (dice.roll() >> 40) as f32 / 8_388_608.0 - 1.0;
    (0..SAMPLE_RATE_HZ)
        .map(|_| {
            let now = white();
            let high = now - last;
            last = now;
            high
        })
        .collect()
}

/// Phase to add for each frame; a full turn is 2^32.
fn phase_step(hz: f64) -> u32 {
    (hz * (4_294_967_296.0 / f64::from(SAMPLE_RATE_HZ))) as u32
}

/// Gains of the two sides at equal power.
fn pan(note: &Note) -> (f32, f32) {
    (note.gain * (1.0 - note.pan).sqrt(), note.gain * note.pan.sqrt())
}
