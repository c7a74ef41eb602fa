package api

// Languages returns the languages that messages are written in.
func Languages() []string { return []string{"en", "pl", "de", "fr", "es", "it", "nl"} }

// Message returns the user's text for a code, in English when lang is none
// of Languages. An unknown code reads as INTERNAL.
func Message(c Code, lang string) string {
	texts := messages(c)
	for i, l := range Languages() {
		if l == lang {
			return texts[i]
		}
	}
	return texts[0]
}

// messages are the texts of a code in the order of Languages. They name no
// figure that an answer may lack: those stand in the details.
func messages(c Code) [7]string {
	switch c {
	case CodeRateLimited:
		return [7]string{
			"Too many attempts. Please wait a moment and try again.",
			"Zbyt wiele prób. Odczekaj chwilę i spróbuj ponownie.",
			"Zu viele Versuche. Bitte warte einen Moment und versuche es erneut.",
			"Trop de tentatives. Patientez un instant, puis réessayez.",
			"Demasiados intentos. Espera un momento y vuelve a intentarlo.",
			"Troppi tentativi. Attendi un momento e riprova.",
			"Te veel pogingen. Wacht even en probeer het opnieuw.",
		}
	case CodeLaunchModeRestricted:
		return [7]string{
			"Sign-up is limited to invited testers for now.",
			"Rejestracja jest na razie dostępna tylko dla zaproszonych testerów.",
			"Die Registrierung ist vorerst nur für eingeladene Tester möglich.",
			"L'inscription est pour l'instant réservée aux testeurs invités.",
			"Por ahora, el registro está limitado a los probadores invitados.",
			"Per ora la registrazione è riservata ai tester invitati.",
			"Registreren kan voorlopig alleen voor uitgenodigde testers.",
		}
	case CodeCountryNotAllowed:
		return [7]string{
			"We are not available in your country yet.",
			"Nie jesteśmy jeszcze dostępni w Twoim kraju.",
			"In deinem Land sind wir noch nicht verfügbar.",
			"Nous ne sommes pas encore disponibles dans votre pays.",
			"Todavía no estamos disponibles en tu país.",
			"Non siamo ancora disponibili nel tuo Paese.",
			"We zijn nog niet beschikbaar in jouw land.",
		}
	case CodeInviteCodeRequired:
		return [7]string{
			"You need an invite code to sign up.",
			"Aby się zarejestrować, potrzebujesz kodu zaproszenia.",
			"Für die Registrierung brauchst du einen Einladungscode.",
			"Il vous faut un code d'invitation pour vous inscrire.",
			"Necesitas un código de invitación para registrarte.",
			"Per registrarti ti serve un codice di invito.",
			"Je hebt een uitnodigingscode nodig om je te registreren.",
		}
	case CodeInviteCodeInvalid:
		return [7]string{
			"This invite code is not valid. Check it and try again.",
			"Ten kod zaproszenia jest nieprawidłowy. Sprawdź go i spróbuj ponownie.",
			"Dieser Einladungscode ist ungültig. Prüfe ihn und versuche es erneut.",
			"Ce code d'invitation n'est pas valide. Vérifiez-le et réessayez.",
			"Este código de invitación no es válido. Compruébalo e inténtalo de nuevo.",
			"Questo codice di invito non è valido. Controllalo e riprova.",
			"Deze uitnodigingscode is niet geldig. Controleer de code en probeer het opnieuw.",
		}
	case CodeInviteCodeDepleted:
		return [7]string{
			"This invite code has already been used.",
			"Ten kod zaproszenia został już wykorzystany.",
			"Dieser Einladungscode wurde bereits verwendet.",
			"Ce code d'invitation a déjà été utilisé.",
			"Este código de invitación ya se ha utilizado.",
			"Questo codice di invito è già stato utilizzato.",
			"Deze uitnodigingscode is al gebruikt.",
		}
	case CodeDailyLimitReached:
		return [7]string{
			"Today's places are taken. Please come back tomorrow.",
			"Dzisiejsze miejsca są już zajęte. Wróć jutro.",
			"Die Plätze für heute sind vergeben. Bitte komm morgen wieder.",
			"Les places du jour sont prises. Revenez demain.",
			"Las plazas de hoy están ocupadas. Vuelve mañana.",
			"I posti di oggi sono esauriti. Torna domani.",
			"De plaatsen voor vandaag zijn bezet. Kom morgen terug.",
		}
	case CodeFileTooLarge:
		return [7]string{
			"This file is too large.",
			"Ten plik jest za duży.",
			"Diese Datei ist zu groß.",
			"Ce fichier est trop volumineux.",
			"Este archivo es demasiado grande.",
			"Questo file è troppo grande.",
			"Dit bestand is te groot.",
		}
	case CodeMIMETypeNotAllowed:
		return [7]string{
			"This type of file is not supported.",
			"Ten typ pliku nie jest obsługiwany.",
			"Dieser Dateityp wird nicht unterstützt.",
			"Ce type de fichier n'est pas pris en charge.",
			"Este tipo de archivo no es compatible.",
			"Questo tipo di file non è supportato.",
			"Dit bestandstype wordt niet ondersteund.",
		}
	}
	return fileMessages(c)
}

func fileMessages(c Code) [7]string {
	switch c {
	case CodeContentMismatch:
		return [7]string{
			"This file is not what its type says. Please choose another one.",
			"Zawartość pliku nie odpowiada jego typowi. Wybierz inny plik.",
			"Der Inhalt der Datei passt nicht zu ihrem Typ. Bitte wähle eine andere.",
			"Le contenu du fichier ne correspond pas à son type. Choisissez-en un autre.",
			"El contenido del archivo no corresponde a su tipo. Elige otro.",
			"Il contenuto del file non corrisponde al suo tipo. Scegline un altro.",
			"De inhoud van het bestand past niet bij het type. Kies een ander bestand.",
		}
	case CodeFilenameNotAllowed:
		return [7]string{
			"This file name is not allowed. Please rename the file.",
			"Ta nazwa pliku jest niedozwolona. Zmień nazwę pliku.",
			"Dieser Dateiname ist nicht erlaubt. Bitte benenne die Datei um.",
			"Ce nom de fichier n'est pas autorisé. Renommez le fichier.",
			"Este nombre de archivo no está permitido. Cambia el nombre del archivo.",
			"Questo nome di file non è consentito. Rinomina il file.",
			"Deze bestandsnaam is niet toegestaan. Geef het bestand een andere naam.",
		}
	case CodeFileCorrupt:
		return [7]string{
			"This file is damaged. Please choose another one.",
			"Ten plik jest uszkodzony. Wybierz inny.",
			"Diese Datei ist beschädigt. Bitte wähle eine andere.",
			"Ce fichier est endommagé. Choisissez-en un autre.",
			"Este archivo está dañado. Elige otro.",
			"Questo file è danneggiato. Scegline un altro.",
			"Dit bestand is beschadigd. Kies een ander bestand.",
		}
	case CodeImageTooLarge:
		return [7]string{
			"This image has too many pixels. Please choose a smaller one.",
			"Ten obraz ma zbyt wiele pikseli. Wybierz mniejszy.",
			"Dieses Bild hat zu viele Pixel. Bitte wähle ein kleineres.",
			"Cette image comporte trop de pixels. Choisissez-en une plus petite.",
			"Esta imagen tiene demasiados píxeles. Elige una más pequeña.",
			"Questa immagine ha troppi pixel. Scegline una più piccola.",
			"Deze afbeelding heeft te veel pixels. Kies een kleinere.",
		}
	case CodeMalwareFound:
		return [7]string{
			"This file was refused because it is not safe.",
			"Ten plik został odrzucony, ponieważ nie jest bezpieczny.",
			"Diese Datei wurde abgelehnt, weil sie nicht sicher ist.",
			"Ce fichier a été refusé car il n'est pas sûr.",
			"Este archivo se ha rechazado porque no es seguro.",
			"Questo file è stato rifiutato perché non è sicuro.",
			"Dit bestand is geweigerd omdat het niet veilig is.",
		}
	}
	return systemMessages(c)
}

func systemMessages(c Code) [7]string {
	switch c {
	case CodeSystemMaintenance:
		return [7]string{
			"We are doing maintenance and will be back soon.",
			"Trwają prace konserwacyjne. Wkrótce wrócimy.",
			"Wir führen gerade Wartungsarbeiten durch und sind bald zurück.",
			"Maintenance en cours. Nous revenons bientôt.",
			"Estamos en mantenimiento y volveremos pronto.",
			"Stiamo eseguendo una manutenzione. Torniamo presto.",
			"We voeren onderhoud uit en zijn snel terug.",
		}
	case CodeServiceDegraded:
		return [7]string{
			"This does not work right now. Please try again in a moment.",
			"To chwilowo nie działa. Spróbuj ponownie za moment.",
			"Das funktioniert gerade nicht. Bitte versuche es gleich noch einmal.",
			"Cela ne fonctionne pas pour le moment. Réessayez dans un instant.",
			"Esto no funciona ahora mismo. Inténtalo de nuevo en un momento.",
			"Al momento non funziona. Riprova tra poco.",
			"Dit werkt nu even niet. Probeer het zo opnieuw.",
		}
	case CodeUnauthenticated:
		return [7]string{
			"Please sign in.",
			"Zaloguj się.",
			"Bitte melde dich an.",
			"Veuillez vous connecter.",
			"Inicia sesión.",
			"Accedi per continuare.",
			"Log in om verder te gaan.",
		}
	case CodePermissionDenied:
		return [7]string{
			"You are not allowed to do this.",
			"Nie masz uprawnień do tej czynności.",
			"Du darfst das nicht tun.",
			"Vous n'êtes pas autorisé à faire cela.",
			"No tienes permiso para hacer esto.",
			"Non hai l'autorizzazione per farlo.",
			"Je hebt hier geen toestemming voor.",
		}
	case CodeNotFound:
		return [7]string{
			"We could not find this.",
			"Nie udało się tego znaleźć.",
			"Das konnten wir nicht finden.",
			"Nous n'avons pas trouvé cet élément.",
			"No hemos podido encontrarlo.",
			"Non siamo riusciti a trovarlo.",
			"We konden dit niet vinden.",
		}
	case CodeInvalidArgument:
		return [7]string{
			"Something in this request is not right. Check your input.",
			"Coś w tym żądaniu jest nieprawidłowe. Sprawdź wprowadzone dane.",
			"Etwas an dieser Anfrage stimmt nicht. Bitte prüfe deine Eingabe.",
			"Cette demande comporte une erreur. Vérifiez votre saisie.",
			"Hay un error en esta solicitud. Revisa los datos introducidos.",
			"C'è un errore in questa richiesta. Controlla i dati inseriti.",
			"Er klopt iets niet aan dit verzoek. Controleer je invoer.",
		}
	case CodeConflict:
		return [7]string{
			"This was changed in the meantime, or is still being processed. Reload and try again.",
			"W międzyczasie nastąpiła zmiana lub operacja wciąż trwa. Odśwież i spróbuj ponownie.",
			"Das wurde zwischenzeitlich geändert oder wird noch verarbeitet. Lade neu und versuche es erneut.",
			"Un changement a eu lieu entre-temps, ou le traitement est en cours. Actualisez et réessayez.",
			"Esto ha cambiado mientras tanto o aún se está procesando. Recarga e inténtalo de nuevo.",
			"Nel frattempo qualcosa è cambiato, o l'operazione è ancora in corso. Ricarica e riprova.",
			"Dit is intussen gewijzigd of wordt nog verwerkt. Vernieuw en probeer het opnieuw.",
		}
	case CodeIdempotencyMismatch:
		return [7]string{
			"This request was already sent with other content.",
			"To żądanie zostało już wysłane z inną treścią.",
			"Diese Anfrage wurde bereits mit anderem Inhalt gesendet.",
			"Cette demande a déjà été envoyée avec un autre contenu.",
			"Esta solicitud ya se envió con otro contenido.",
			"Questa richiesta è già stata inviata con un altro contenuto.",
			"Dit verzoek is al met een andere inhoud verzonden.",
		}
	}
	return [7]string{
		"Something went wrong on our side. Please try again later.",
		"Coś poszło nie tak po naszej stronie. Spróbuj ponownie później.",
		"Bei uns ist etwas schiefgelaufen. Bitte versuche es später erneut.",
		"Une erreur s'est produite de notre côté. Réessayez plus tard.",
		"Algo ha fallado por nuestra parte. Inténtalo más tarde.",
		"Qualcosa è andato storto da parte nostra. Riprova più tardi.",
		"Er ging iets mis aan onze kant. Probeer het later opnieuw.",
	}
}
