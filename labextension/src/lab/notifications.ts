/** Plugin: tells what happens in sessions that nobody looks at, in JupyterLab and outside of the page. */
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';
import { PageConfig, URLExt } from '@jupyterlab/coreutils';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { BrowserAlerts } from '../alerts';
import type { Answer } from '../alerts';
import { Notifier } from '../notifier';
import type { News, NewsKind } from '../notifier';
import type { Alerts } from '../view/sessionsHost';

import { RefusedError } from './client';
import { CommandIDs, PLUGIN_ID } from './commands';
import { SettingSwitch } from './settings';
import { plainText, plainTitle } from './text';
import { IAlerts, IChats } from './tokens';
import type { Sight } from './tokens';

/** The settings' names of `schema/plugin.json`. */
const SETTINGS: Readonly<Record<NewsKind, string>> = {
  permission: 'notifyPermission',
  ended: 'notifyEnded',
  failed: 'notifyFailed'
};
/** JupyterLab cuts a message at 140 characters. */
const LONGEST = 100;
const ENDED_SHOWN = 10_000;

function shortened(text: string): string {
  const line = plainTitle(plainText(text)).replace(/\s+/g, ' ').trim();
  return line.length > LONGEST ? `${line.slice(0, LONGEST - 1)}…` : line;
}

export const notifications: JupyterFrontEndPlugin<Alerts> = {
  id: '@agent-lab/labextension:notifications',
  description: 'Notifications of agent sessions that nobody looks at.',
  autoStart: true,
  requires: [IChats],
  optional: [ISettingRegistry, ITranslator],
  provides: IAlerts,
  activate(
    app: JupyterFrontEnd,
    chats: IChats,
    settings: ISettingRegistry | null,
    translator: ITranslator | null
  ): Alerts {
    const trans = (translator ?? nullTranslator).load('agent_lab');
    const alerts = new BrowserAlerts(
      URLExt.join(PageConfig.getBaseUrl(), 'agent-lab/'),
      settings ? new SettingSwitch(settings, 'notifyOutside') : undefined
    );
    const shown = new Map<string, string>();
    let chosen: ISettingRegistry.ISettings | null = null;

    const open = (news: News) => void app.commands.execute(CommandIDs.openSession, { session: news.session.id });

    const answer = async (news: News, requestId: string, optionId: string): Promise<void> => {
      try {
        await chats.client.answer(news.session.id, requestId, optionId);
      } catch (error) {
        // Somebody was first: the question is settled either way.
        if (!(error instanceof RefusedError && error.reason === 'already_resolved')) {
          Notification.error(error instanceof Error ? error.message : String(error));
        }
      }
    };

    /** What lasts is not granted from the corner of an eye: the panel says its scope. */
    const answersOf = (news: News): Answer[] => {
      const { permission } = news;
      if (permission?.kind !== 'tool') {
        return [];
      }
      const once = permission.options.filter(({ kind }) => kind === 'allow_once' || kind === 'reject_once');
      return once.map(({ kind, option_id }) => ({
        id: kind,
        label: kind === 'allow_once' ? trans.__('Allow once') : trans.__('Reject'),
        give: () => void answer(news, permission.request_id, option_id)
      }));
    };

    const actionsOf = (news: News): Notification.IAction[] => [
      ...answersOf(news).map(({ id, label, give }) => ({
        label,
        displayType: id === 'allow_once' ? ('accent' as const) : ('default' as const),
        callback: give
      })),
      { label: trans.__('Show'), callback: () => open(news) }
    ];

    const wordsOf = (news: News): string => {
      const text = shortened(news.text);
      switch (news.kind) {
        case 'permission':
          return news.permission?.kind === 'question' ? trans.__('The agent asks: %1', text)
            : news.permission?.kind === 'plan' ? trans.__('A plan waits for your review')
            : trans.__('Permission needed: %1', text);
        case 'failed':
          return trans.__('The turn failed: %1', text);
        case 'ended':
          return text || trans.__('The agent has finished');
      }
    };

    const tell = (news: News): void => {
      const title = shortened(news.session.title).slice(0, 40);
      const words = wordsOf(news);
      const type = news.kind === 'failed' ? 'error' : news.kind === 'permission' ? 'warning' : 'success';
      const id = Notification.manager.notify(`${title}\n${words}`, type, {
        autoClose: news.kind === 'ended' ? ENDED_SHOWN : false,
        actions: actionsOf(news)
      });
      shown.set(news.key, id);
      alerts.show({
        key: news.key,
        title,
        body: words,
        icon: URLExt.join(PageConfig.getBaseUrl(), 'static/agent_lab/icon-192.png'),
        url: URLExt.join(PageConfig.getBaseUrl(), 'agent-lab/sessions', encodeURIComponent(news.session.id)),
        answers: answersOf(news),
        click: () => open(news)
      });
    };

    const start = () => {
      const notifier = new Notifier({
        changes: chats.changes,
        api: chats.client.api,
        fetch: url => chats.client.fetch(url),
        wants: kind => chosen?.get(SETTINGS[kind]).composite !== false,
        tell,
        takeBack: key => {
          const id = shown.get(key);
          shown.delete(key);
          if (id !== undefined) {
            Notification.dismiss(id);
          }
          alerts.takeBack(key);
        }
      });
      for (const id of looking) {
        notifier.look(id, true);
      }
      for (const { request, session } of sights.values()) {
        notifier.see(session, request, true);
      }
      chats.looked.connect((_, { session, visible }) => {
        notifier.look(session, visible);
      });
      chats.seen.connect((_, { request, session, visible }) => {
        notifier.see(session, request, visible);
      });
    };
    const looking = new Set<string>();
    const before = (_: IChats, { session, visible }: { session: string; visible: boolean }) => {
      if (visible) {
        looking.add(session);
      } else {
        looking.delete(session);
      }
    };
    chats.looked.connect(before);
    const sights = new Map<string, Sight>();
    const seenBefore = (_: IChats, sight: Sight) => {
      if (sight.visible) {
        sights.set(sight.request, sight);
      } else {
        sights.delete(sight.request);
      }
    };
    chats.seen.connect(seenBefore);
    // After all that a person waits for is there.
    const ready = Promise.all([
      app.restored,
      settings?.load(PLUGIN_ID).then(
        loaded => {
          chosen = loaded;
        },
        () => undefined
      )
    ]);
    void ready.then(() => {
      chats.looked.disconnect(before);
      chats.seen.disconnect(seenBefore);
      start();
    });

    app.commands.addCommand(CommandIDs.toggleAlerts, {
      label: trans.__('Notify me outside of this page'),
      caption: trans.__('The browser asks once whether this page may'),
      isToggled: () => alerts.state() === 'on',
      isEnabled: () => alerts.state() !== 'blocked',
      execute: () => alerts.toggle(),
      describedBy: { args: { type: 'object', properties: {} } }
    });
    alerts.onChange(() => {
      app.commands.notifyCommandChanged(CommandIDs.toggleAlerts);
    });
    return alerts;
  }
};
