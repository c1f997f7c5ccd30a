// A phone made with QXmpp, for spec/support/program.lua. Stream management, requests and the archive are QXmpp's.
#include <QCoreApplication>
#include <QTcpSocket>
#include <QXmppClient.h>
#include <QXmppDataForm.h>
#include <QXmppMamManager.h>
#include <QXmppMessage.h>
#include <QXmppPushEnableIq.h>

static QXmppPushEnableIq push(QXmppPushEnableIq::Mode mode, const QString &jid, const QString &node)
{
	QXmppPushEnableIq iq;
	// It would be of type get.
	iq.setType(QXmppIq::Set);
	iq.setMode(mode);
	iq.setJid(jid);
	iq.setNode(node);
	return iq;
}

static QXmppDataForm options(const QString &secret)
{
	QXmppDataForm form(QXmppDataForm::Submit);
	form.fields().append(QXmppDataForm::Field(QXmppDataForm::Field::HiddenField, "FORM_TYPE",
		"http://jabber.org/protocol/pubsub#publish-options"));
	form.fields().append(QXmppDataForm::Field(QXmppDataForm::Field::TextSingleField, "secret", secret));
	return form;
}

int main(int argc, char **argv)
{
	QCoreApplication application(argc, argv);
	const QStringList arguments = application.arguments();
	QXmppConfiguration configuration;
	configuration.setHost("127.0.0.1");
	configuration.setPort(arguments[2].toInt());
	configuration.setJid(arguments[3]);
	configuration.setPassword(arguments[4]);
	configuration.setStreamSecurityMode(QXmppConfiguration::TLSDisabled);
	configuration.setAutoReconnectionEnabled(false);

	QTcpSocket spec;
	const auto report = [&](const QString &line) {
		spec.write(line.toUtf8() + '\n');
		spec.flush();
	};

	// What it sends and gets is what program.lua shows when it fails.
	QXmppLogger::getLogger()->setLoggingType(QXmppLogger::StdoutLogging);
	QXmppClient client;
	QXmppMamManager *archive = new QXmppMamManager;
	client.addExtension(archive);
	bool network = true;
	QDateTime away;
	QObject::connect(&client, &QXmppClient::connected, [&] {
		const bool resumed = client.streamManagementState() == QXmppClient::ResumedStream;
		report(resumed ? "resumed" : "started");
		if (away.isValid() && !resumed)
			archive->retrieveArchivedMessages({}, {}, {}, away);
	});
	QObject::connect(&client, &QXmppClient::disconnected, [&] {
		// Before 1.6.1 QXmpp asks for a resumption that no server understands, and the stream ends.
		if (network)
			client.connectToServer(configuration);
		else
			report("cut");
	});
	QObject::connect(&client, &QXmppClient::messageReceived,
		[&](const QXmppMessage &message) { report("message " + message.body()); });
	QObject::connect(archive, &QXmppMamManager::archivedMessageReceived,
		[&](const QString &, const QXmppMessage &message) { report("message " + message.body()); });

	// The line for the spec when the server answers the request with a result.
	QHash<QString, QString> answers;
	QObject::connect(&client, &QXmppClient::iqReceived, [&](const QXmppIq &iq) {
		if (iq.type() == QXmppIq::Result && answers.contains(iq.id()))
			report(answers.take(iq.id()));
	});
	const auto ask = [&](const QXmppPushEnableIq &iq, const QString &answer) {
		answers.insert(iq.id(), answer);
		client.sendPacket(iq);
	};

	QObject::connect(&spec, &QTcpSocket::readyRead, [&] {
		while (spec.canReadLine()) {
			const QStringList words = QString::fromUtf8(spec.readLine()).trimmed().split(' ');
			if (words[0] == "enable") {
				QXmppPushEnableIq iq = push(QXmppPushEnableIq::Enable, words[1], words[2]);
				iq.setDataForm(options(words[3]));
				ask(iq, "enabled");
			} else if (words[0] == "disable") {
				ask(push(QXmppPushEnableIq::Disable, words[1], words[2]), "disabled");
			} else if (words[0] == "cut") {
				network = false;
				away = QDateTime::currentDateTimeUtc();
				// QXmpp itself only logs out.
				client.findChild<QAbstractSocket *>()->abort();
			} else if (words[0] == "resume") {
				network = true;
				client.connectToServer(configuration);
			} else {
				application.quit();
			}
		}
	});
	QObject::connect(&spec, &QTcpSocket::disconnected, &application, &QCoreApplication::quit);
	spec.connectToHost("127.0.0.1", arguments[1].toUShort());
	client.connectToServer(configuration);
	return application.exec();
}
