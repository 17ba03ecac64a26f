//! What is shown: the view, brought up to date.

use std::sync::Arc;

use super::super::{Channel, Mode, Phase, Transport, View};
use super::{Core, Seat};
use crate::platform::Platform as _;
use crate::problem::Problem;
use crate::sharing::UploadState;
use crate::vault::Kept;

impl Core {
    pub(super) fn publish(&mut self) {
        let upload = self.share();
        let phase = match &self.seat {
            Some(seat) => seat.tuner.phase(),
            None if self.signing.is_some() || self.sign_in_at.is_some() => Phase::SigningIn,
            None => Phase::SignInWanted,
        };
        let mut problems = self.problems(upload.state);
        problems.sort_by_key(|problem| std::cmp::Reverse(problem.severity()));
        let before = self.shared.view.borrow().clone();
        let view = View {
            phase,
            line_up: self.line_up(),
            transport: match &self.seat {
                Some(seat) => seat.tuner.transport(),
                None => Transport {
                    generation: before.transport.generation,
                    mode: Mode::Live,
                    ..Transport::default()
                },
            },
            settings: match *before.settings == self.settings {
                true => before.settings.clone(),
                false => Arc::new(self.settings.clone()),
            },
            guide: self.guide.clone(),
            problems,
            upload,
            local: self.seat.as_ref().and_then(|seat| seat.local),
            account: self.seat.as_ref().map(Seat::account),
        };
        if view.phase != before.phase || view.problems != before.problems {
            self.shared.history().push(&view);
        }
        if view != *before {
            self.shared.view.send_replace(Arc::new(view));
        }
    }

    fn line_up(&self) -> Vec<Channel> {
        let line_up = self.seat.as_ref().map(|seat| seat.viewer.live.line_up());
        let channel = |info| Channel::new(info, &self.settings);
        line_up.unwrap_or_default().into_iter().map(channel).collect()
    }

    fn problems(&self, upload: UploadState) -> Vec<Problem> {
        let mut problems: Vec<Problem> = self.refused.clone().into_iter().collect();
        if let Some(seat) = &self.seat {
            problems.extend(seat.problems());
        }
        if self.no_sound {
            problems.push(Problem::NoSound);
        }
        problems.extend(self.faults.iter().cloned());
        let in_file = |seat: &Seat| {
            seat.by_hand && seat.viewer.remember && seat.viewer.vault.kept() == Kept::File
        };
        if self.seat.as_ref().is_some_and(in_file) {
            problems.push(Problem::SecretInFile);
        }
        match upload {
            UploadState::Metered => problems.push(Problem::Metered),
            UploadState::MonthlyLimit => problems.push(Problem::MonthlyLimit),
            _ => {}
        }
        problems.extend(self.picture.clone().map(|why| Problem::Picture { why }));
        problems.extend(self.unsaved.clone());
        problems
    }
}
