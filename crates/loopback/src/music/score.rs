//! The notes of one piece, chosen by dice from a seed: key, tempo, chords, bass, arpeggio, melody
//! and drums. No sample is made here; [`super::compose()`] plays the score.

use super::SAMPLE_RATE_HZ;

/// Steps in a bar, sixteenths of four beats.
const STEPS_IN_BAR: usize = 16;

/// Frequency of MIDI note 0 in Hz, and the ratio of a semitone. Written out because `powf` may
/// differ in its last bit between C libraries, and equal seeds must give equal bytes everywhere.
const NOTE_ZERO_HZ: f64 = 8.175_798_915_643_707;
const SEMITONE: f64 = 1.059_463_094_359_295_3;

/// Seven-note scales in semitones above the root: major, minor, dorian, mixolydian, harmonic minor.
const SCALES: [[u8; 7]; 5] = [
    [0, 2, 4, 5, 7, 9, 11],
    [0, 2, 3, 5, 7, 8, 10],
    [0, 2, 3, 5, 7, 9, 10],
    [0, 2, 4, 5, 7, 9, 10],
    [0, 2, 3, 5, 7, 8, 11],
];

/// Scale degrees that follow each degree, the usual ones first and the first one twice as likely.
const NEXT_DEGREE: [[usize; 4]; 7] = [
    [3, 4, 5, 1],
    [4, 6, 3, 4],
    [5, 3, 1, 5],
    [4, 0, 1, 6],
    [0, 5, 3, 2],
    [3, 1, 4, 2],
    [0, 2, 4, 0],
];

/// The sound a note is played with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Long, low, few harmonics.
    Bass,
    /// Sustained chords with a slow attack.
    Pad,
    /// Plucked chord tones.
    Arpeggio,
    /// The tune, brighter than the rest.
    Melody,
    /// A short falling sine.
    Kick,
    /// A burst of noise.
    Hat,
}

/// One sound with a place in time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Note {
    pub part: Part,
    /// First frame.
    pub start: usize,
    /// Frames until the note is released.
    pub frames: usize,
    /// Pitch in Hz; unused by the hat.
    pub hz: f64,
    /// Loudness, 1.0 being the loudest single note.
    pub gain: f32,
    /// Place between the loudspeakers: 0.0 left, 1.0 right.
    pub pan: f32,
}

/// All notes of a piece, and the timbre its parts share.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Score {
    pub notes: Vec<Note>,
    /// Strength of the first eight harmonics of each pitched part: bass, pad, arpeggio, melody.
    pub harmonics: [[f32; 8]; 4],
    /// Seed of the noise in the drums.
    pub noise_seed: u64,
}

/// A small generator of our own (SplitMix64), so that no release of a crate can change the music.
#[derive(Debug, Clone)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.roll() >> 33) as usize % bound
    }

    fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    /// A number from 0.0 up to 1.0, exact in `f32`.
    fn unit(&mut self) -> f32 {
        (self.roll() >> 40) as f32 / 16_777_216.0
    }
}

/// Writes the notes for `frames` frames of music.
pub(super) fn write_score(seed: u64, frames: usize) -> Score {
    let mut dice = Dice::new(seed);
    let mut harmonics = [[0.0; 8]; 4];
    for (part, darkness) in harmonics.iter_mut().zip([2.6, 1.6, 1.3, 0.9]) {
        for (order, strength) in part.iter_mut().enumerate() {
            *strength = (0.4 + 0.6 * dice.unit()) / (1.0 + darkness * order as f32);
        }
        part[0] = 1.0;
    }
    let noise_seed = dice.roll();
    let mut writer = Writer {
        root: 36 + dice.below(12),
        scale: SCALES[dice.below(SCALES.len())],
        step: SAMPLE_RATE_HZ as usize * 15 / (80 + dice.below(70)),
        swing_percent: dice.below(3) * 8,
        tune_degree: 14 + dice.below(7),
        frames,
        notes: Vec::new(),
        dice,
    };
    let mut degree = writer.dice.below(7);
    let mut bar = 0;
    while bar * STEPS_IN_BAR * writer.step < frames {
        // Two chords in a bar keep the harmony, which the fingerprint listens to, on the move.
        for half in 0..2 {
            writer.write_half_bar(bar * STEPS_IN_BAR + half * 8, degree);
            degree = NEXT_DEGREE[degree][[0, 0, 1, 2, 3][writer.dice.below(5)]];
        }
        bar += 1;
    }
    Score { notes: writer.notes, harmonics, noise_seed }
}

struct Writer {
    /// MIDI note of the key's root in the bass.
    root: usize,
    scale: [u8; 7],
    /// Frames of one sixteenth.
    step: usize,
    /// How late each second sixteenth comes, in percent of a step.
    swing_percent: usize,
    /// Where the tune is, in scale degrees above the root.
    tune_degree: usize,
    frames: usize,
    notes: Vec<Note>,
    dice: Dice,
}

impl Writer {
    fn write_half_bar(&mut self, first_step: usize, degree: usize) {
        self.write_bass(first_step, degree);
        self.write_pad(first_step, degree);
        self.write_arpeggio(first_step, degree);
        self.write_tune(first_step, degree);
        self.write_drums(first_step);
    }

    fn write_bass(&mut self, first_step: usize, degree: usize) {
        self.play(Part::Bass, first_step, 5, self.hz(degree), 0.9, 0.5);
        let answer = degree + [0, 4, 7, 2][self.dice.below(4)];
        self.play(Part::Bass, first_step + 6, 2, self.hz(answer), 0.7, 0.5);
    }

    fn write_pad(&mut self, first_step: usize, degree: usize) {
        let inversion = self.dice.below(3);
        for (voice, pan) in [0.15, 0.5, 0.85].into_iter().enumerate() {
            let third = degree + 7 + 2 * voice + if voice < inversion { 7 } else { 0 };
            self.play(Part::Pad, first_step, 8, self.hz(third), 0.28, pan);
        }
    }

    fn write_arpeggio(&mut self, first_step: usize, degree: usize) {
        let stride = 1 + self.dice.below(2);
        let pan = 0.2 + 0.6 * self.dice.unit();
        for step in (0..8).step_by(stride) {
            if self.dice.one_in(4) {
                continue;
            }
            let tone = degree + 14 + 2 * self.dice.below(5);
            self.play(Part::Arpeggio, first_step + step, stride + 1, self.hz(tone), 0.4, pan);
        }
    }

    fn write_tune(&mut self, first_step: usize, degree: usize) {
        let mut step = self.dice.below(2);
        while step < 8 {
            let length = [1, 2, 2, 3, 4][self.dice.below(5)];
            if !self.dice.one_in(5) {
                self.tune_degree = if self.dice.one_in(3) {
                    // Now and then the tune lands on the chord.
                    14 + degree + 2 * self.dice.below(3)
                } else {
                    (self.tune_degree + self.dice.below(7)).saturating_sub(3).clamp(12, 25)
                };
                let hz = self.hz(self.tune_degree);
                let gain = 0.5 + 0.2 * self.dice.unit();
                self.play(Part::Melody, first_step + step, length, hz, gain, 0.6);
            }
            step += length;
        }
    }

    fn write_drums(&mut self, first_step: usize) {
        self.play(Part::Kick, first_step, 2, 52.0, 0.7, 0.5);
        if self.dice.one_in(3) {
            self.play(Part::Kick, first_step + 5, 2, 52.0, 0.5, 0.5);
        }
        for step in (0..8).step_by(2) {
            let gain = if step == 4 { 0.16 } else { 0.05 + 0.05 * self.dice.unit() };
            self.play(Part::Hat, first_step + step, 1, 0.0, gain, 0.35);
        }
    }

    /// Frequency of a scale degree counted from the root in the bass.
    fn hz(&self, degree: usize) -> f64 {
        let note = self.root + 12 * (degree / 7) + usize::from(self.scale[degree % 7]);
        (0..note).fold(NOTE_ZERO_HZ, |hz, _| hz * SEMITONE)
    }

    fn play(&mut self, part: Part, step: usize, steps: usize, hz: f64, gain: f32, pan: f32) {
        let late = if step % 2 == 1 { self.step * self.swing_percent / 100 } else { 0 };
        let start = step * self.step + late;
        if start < self.frames {
            self.notes.push(Note { part, start, frames: steps * self.step, hz, gain, pan });
        }
    }
}
