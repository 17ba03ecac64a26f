//! The page for signing in, and the one that explains sharing at first start.

use std::cell::Cell;
use std::rc::Rc;

use gtk::prelude::*;

use super::times::rate;
use super::widgets::{column, emblem, fill, label, paragraph, role, row, say, spoken};
use super::words::{put, tr};
use crate::problem::Severity;
use crate::television::{Phase, SignIn as Wish, Television, View};

/// The page.
pub(super) struct SignIn {
    pub(super) root: gtk::ScrolledWindow,
    server: gtk::Entry,
    user: gtk::Entry,
    password: gtk::PasswordEntry,
    remember: gtk::CheckButton,
    submit: gtk::Button,
    busy: gtk::Spinner,
    lead: gtk::Label,
    error: gtk::Box,
    what: gtk::Label,
    doing: gtk::Label,
    /// Something of this page is wrong, before anybody is asked.
    wrong: Cell<Option<&'static str>>,
    filled: Cell<bool>,
    /// The address that the configuration has.
    configured: Option<url::Url>,
    television: Television,
}

impl SignIn {
    pub(super) fn new(television: Television, configured: Option<url::Url>) -> Rc<Self> {
        let icon = emblem(44);
        icon.set_valign(gtk::Align::Center);
        let title = paragraph(tr("Sign in to watch"), "hero");
        let heading = row(14);
        fill(&heading, &[icon.upcast_ref(), title.upcast_ref()]);
        let lead = paragraph(
            tr("Your television operator gave you an address, a user name and a password."),
            "lead",
        );
        let server = gtk::Entry::builder()
            .placeholder_text("https://tv.example")
            .input_purpose(gtk::InputPurpose::Url)
            .build();
        let user = gtk::Entry::new();
        let password = gtk::PasswordEntry::builder().show_peek_icon(true).build();
        let form = column(6);
        for (text, field) in [
            (tr("Server"), server.upcast_ref::<gtk::Widget>()),
            (tr("User name"), user.upcast_ref()),
            (tr("Password"), password.upcast_ref()),
        ] {
            let caption = label(text, "field-label");
            caption.set_mnemonic_widget(Some(field));
            caption.set_margin_top(3);
            fill(&form, &[caption.upcast_ref(), field]);
        }
        let remember = gtk::CheckButton::with_label(tr("Stay signed in on this computer"));
        remember.set_active(true);
        remember.set_margin_top(4);
        let (what, doing) = (paragraph("", "error"), paragraph("", "soft"));
        let error = column(2);
        error.add_css_class("error-box");
        role(&error, gtk::AccessibleRole::Alert);
        fill(&error, &[what.upcast_ref(), doing.upcast_ref()]);
        error.set_visible(false);
        let busy = gtk::Spinner::new();
        let text = gtk::Label::new(Some(tr("Sign in")));
        let inside = row(10);
        inside.set_halign(gtk::Align::Center);
        fill(&inside, &[busy.upcast_ref(), text.upcast_ref()]);
        busy.set_visible(false);
        let submit = gtk::Button::builder().child(&inside).css_classes(["primary"]).build();
        spoken(&submit, tr("Sign in"));
        submit.set_margin_top(4);
        let card = card(10, 400);
        fill(
            &card,
            &[
                heading.upcast_ref(),
                lead.upcast_ref(),
                // Above the fields: in a low window what is below them has to be scrolled to.
                error.upcast_ref(),
                form.upcast_ref(),
                remember.upcast_ref(),
                submit.upcast_ref(),
            ],
        );
        let root = page(&card);
        let this = Rc::new(Self {
            root,
            server,
            user,
            password,
            remember,
            submit,
            busy,
            lead,
            error,
            what,
            doing,
            wrong: Cell::default(),
            filled: Cell::default(),
            configured,
            television,
        });
        let weak = Rc::downgrade(&this);
        let go = move || {
            if let Some(this) = weak.upgrade() {
                this.go();
            }
        };
        this.submit.connect_clicked({
            let go = go.clone();
            move |_| go()
        });
        this.server.connect_activate({
            let go = go.clone();
            move |_| go()
        });
        this.user.connect_activate({
            let go = go.clone();
            move |_| go()
        });
        this.password.connect_activate(move |_| go());
        this
    }

    fn go(&self) {
        self.wrong.set(None);
        let server = address(&self.server.text());
        let (user, password) = (self.user.text(), self.password.text());
        let missing: Option<(&gtk::Widget, &'static str)> = if server.is_none() {
            Some((
                self.server.upcast_ref(),
                tr("This is not an address. It looks like https://tv.example."),
            ))
        } else if user.trim().is_empty() {
            Some((self.user.upcast_ref(), tr("Please enter your user name.")))
        } else if password.is_empty() {
            Some((self.password.upcast_ref(), tr("Please enter your password.")))
        } else {
            None
        };
        if let Some((field, text)) = missing {
            self.wrong.set(Some(text));
            field.grab_focus();
            self.tell(text, "");
            return;
        }
        let Some(server) = server else { return };
        self.television.sign_in(Wish {
            server,
            user: user.trim().to_owned(),
            password: password.into(),
            remember: self.remember.is_active(),
        });
    }

    fn tell(&self, what: &str, doing: &str) {
        say(&self.what, what);
        say(&self.doing, doing);
        self.doing.set_visible(!doing.is_empty());
        let tells = !what.is_empty();
        if tells && !self.error.is_visible() {
            self.root.vadjustment().set_value(0.0);
        }
        self.error.set_visible(tells);
        // In a low window the button stays in sight.
        self.lead.set_visible(!tells);
    }

    /// Takes over what is to be shown.
    pub(super) fn show(&self, view: &View) {
        if !self.filled.replace(true) {
            if let Some(server) = view.settings.server.as_ref().or(self.configured.as_ref()) {
                self.server.set_text(server.as_str());
            }
            if let Some(user) = &view.settings.user {
                self.user.set_text(user);
            }
            self.remember.set_active(view.settings.remember);
        }
        let problem = view.problems.iter().find(|problem| problem.severity() == Severity::Stops);
        // What it tries again by itself, such as without network, is told meanwhile, and leaves the fields to the viewer.
        let busy = matches!(view.phase, Phase::SigningIn) && problem.is_none();
        self.submit.set_sensitive(!busy);
        self.busy.set_visible(busy);
        self.busy.set_spinning(busy);
        for field in [
            self.server.upcast_ref::<gtk::Widget>(),
            self.user.upcast_ref(),
            self.password.upcast_ref(),
            self.remember.upcast_ref(),
        ] {
            field.set_sensitive(!busy);
        }
        match problem {
            _ if self.wrong.get().is_some() => {}
            Some(problem) => {
                let (what, doing) = super::stage::words(problem);
                self.tell(&what, &doing);
            }
            None => self.tell("", ""),
        }
    }

    /// Puts the cursor where something is missing.
    pub(super) fn focus(&self) {
        let empty = |entry: &gtk::Entry| entry.text().is_empty();
        if empty(&self.server) {
            self.server.grab_focus();
        } else if empty(&self.user) {
            self.user.grab_focus();
        } else {
            self.password.grab_focus();
        }
    }

    /// Forgets what was typed of the password.
    pub(super) fn forget(&self) {
        self.password.set_text("");
        self.wrong.set(None);
    }
}

/// An address as people type it: `tv.example` is meant to begin with https.
fn address(text: &str) -> Option<url::Url> {
    let text = text.trim();
    let url = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    let url = url::Url::parse(&url).ok()?;
    let fits = matches!(url.scheme(), "http" | "https")
        && url.host_str().is_some_and(|host| !host.is_empty());
    fits.then_some(url)
}

/// A card for the middle of a page.
fn card(spacing: i32, width: i32) -> gtk::Box {
    let card = column(spacing);
    card.add_css_class("card");
    card.set_width_request(width);
    card.set_halign(gtk::Align::Center);
    card.set_valign(gtk::Align::Center);
    card.set_margin_top(12);
    card.set_margin_bottom(12);
    card
}

/// A page with a card in its middle.
fn page(card: &gtk::Box) -> gtk::ScrolledWindow {
    let scroll = gtk::ScrolledWindow::builder()
        .hscrollbar_policy(gtk::PolicyType::Never)
        .child(card)
        .build();
    scroll.add_css_class("page");
    scroll
}

/// The page that asks whether to help other viewers.
pub(super) fn welcome(television: &Television, kbits: u32) -> gtk::ScrolledWindow {
    let title = paragraph(tr("Help to carry the channel?"), "hero");
    let text = tr(
        "While you watch, your computer can pass small encrypted parts of the same channel on to viewers near you. It uses at most {rate} of your upload, never on a connection that is paid by volume, and you can change this at any time.",
    );
    let lead = paragraph(&put(text, "rate", rate(u64::from(kbits) * 1000)), "lead");
    lead.set_max_width_chars(52);
    let yes = gtk::Button::with_label(tr("Yes, help"));
    yes.add_css_class("primary");
    let no = gtk::Button::with_label(tr("No, only watch"));
    no.add_css_class("secondary");
    for (button, choice) in [(&yes, true), (&no, false)] {
        let television = television.clone();
        button.connect_clicked(move |_| {
            television.change(move |settings| settings.sharing.choice = Some(choice))
        });
    }
    let buttons = row(12);
    buttons.set_homogeneous(true);
    buttons.set_margin_top(8);
    fill(&buttons, &[no.upcast_ref(), yes.upcast_ref()]);
    let card = card(14, 460);
    fill(&card, &[title.upcast_ref(), lead.upcast_ref(), buttons.upcast_ref()]);
    page(&card)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_be_typed_short() {
        assert_eq!(address(" tv.example ").unwrap().as_str(), "https://tv.example/");
        assert_eq!(address("http://127.0.0.1:7880").unwrap().as_str(), "http://127.0.0.1:7880/");
        for wrong in ["", "ftp://tv", "https://", "two words"] {
            assert!(address(wrong).is_none(), "{wrong}");
        }
    }
}
