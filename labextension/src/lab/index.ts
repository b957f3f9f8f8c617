/** The plugins that JupyterLab loads. */
import { bridge } from './bridge';
import { chats } from './chats';
import { errors } from './errors';
import { launcher } from './launcher';
import { notebookButton } from './notebookButton';
import { notifications } from './notifications';
import { sessions } from './sessions';
import { sidebar } from './sidebar';
import { split } from './split';
import { terminal } from './terminal';

export { IAlerts, IChats, INotebookChats, ISplits } from './tokens';

export default [
  chats, split, sidebar, notebookButton, launcher, terminal, errors, notifications, sessions,
  bridge
];
